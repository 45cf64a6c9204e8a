"""``qemu disk resize``: larger at any time, smaller only when stopped."""

from collections.abc import Callable
from pathlib import Path

from qemu_cli.errors import QemuCliError, StateError, UsageError
from qemu_cli.instance import change, needs
from qemu_cli.instance.disks import guard
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.steps import AnyStep, Plan, Qmp, Tool
from qemu_cli.storage import header, images, qemu_img, tools
from qemu_cli.storage.images import ImageInfo
from qemu_cli.units import format_size, parse_size

_SECTOR_BYTES = 512

#: The version of qcow2 whose snapshots have sizes of their own.
_RESIZES_SNAPSHOTS = 3

#: Formats that QEMU can resize (qemu-img(1)).
_RESIZABLE = frozenset({"raw", "qcow2", "qed"})


async def resize(
    host: Host,
    vm: VM,
    id: str,
    wanted: str,
    *,
    shrink: bool = False,
    confirm: Callable[[str], None],
    dry_run: bool = False,
) -> Done:
    """Give a disk another size.

    :param wanted: a size, or ``+`` and how much larger
    :param shrink: what is behind the new end may be lost
    :raise NotFoundError: a file that it stands on is missing
    :raise StateError: its format, its snapshots or somebody else's
        overlay are against it; or it would shrink while the VM runs
    """
    if vm.foreign:
        from qemu_cli.instance.disks import strangers_resize

        return await strangers_resize.resize(
            host, vm, id, wanted, dry_run=dry_run
        )
    paths = vm.paths
    async with change.changing(host, paths) as now:
        guard.check_changeable(now)
        definition = now.definition
        disk = guard.find(now, definition, id)
        if disk.read_only:
            raise StateError(f"{id} is read-only")
        file = paths.directory / disk.file
        tool = tools.find("qemu-img", host.config)
        seen = await guard.live(host, now, disk)
        await needs.check_there(tool, now.name, id, file, disk.format)
        image = await images.info(tool, file, format=disk.format)
        await guard.check_unneeded(
            host, paths, definition, disk, [file], tool=tool
        )
        old = image.virtual_size_bytes
        new = new_size(wanted, old)
        _check_possible(image, id)
        if new < old:
            what = f"{id} from {format_size(old)} to {format_size(new)}"
            check_shrink(what, shrink=shrink, running=seen is not None)
            confirm(f"shrink {what}, and lose what is behind that")
        step: AnyStep = Tool(
            qemu_img.resize_argv(
                tool, file, disk.format, new, shrink=new < old
            )
        )
        if seen:
            resized = {"node-name": seen.active.name, "size": new}
            step = Qmp("block_resize", resized)
        plan = Plan(f"disk resize {now.name} {id}", (step,))
        data = {"disk": id, "old_size_bytes": old, "new_size_bytes": new}
        text = f"{id} resized: {format_size(old)} → {format_size(new)}"
        return await do(
            host,
            paths,
            Done(plan, text, data),
            action="disk resize",
            files=(file,),
            dry_run=dry_run,
        )


def new_size(wanted: str, old_bytes: int) -> int:
    """Turn ``20G`` or ``+5G`` into bytes.

    :raise UsageError: it is no size, or the one that the disk has
    """
    more = wanted.startswith("+")
    size_bytes = parse_size(wanted.removeprefix("+"))
    if more:
        size_bytes += old_bytes
    if size_bytes % _SECTOR_BYTES:
        raise UsageError(
            f"a disk has whole sectors of {_SECTOR_BYTES} bytes, and"
            f" {size_bytes} bytes are not"
        )
    if size_bytes == old_bytes:
        raise UsageError(f"its size is {format_size(old_bytes)} already")
    return size_bytes


def _check_possible(image: ImageInfo, id: str) -> None:
    if image.format not in _RESIZABLE:
        raise StateError(
            f"{id} is an image of format {image.format}, which can't be "
            "resized",
            hint="'qemu disk move' can change the format: --to qcow2",
        )
    if not image.snapshots:
        return
    found = header.read(Path(image.path))
    if found and found.version < _RESIZES_SNAPSHOTS:
        names = ", ".join(f"'{each.name}'" for each in image.snapshots)
        raise StateError(
            f"{id} is a qcow2 image of version 2, which can't be resized "
            f"while it has snapshots: {names}",
            hint="'qemu-img amend -o compat=1.1' makes it version 3",
        )


def check_shrink(what: str, *, shrink: bool, running: bool) -> None:
    """Refuse what would cut something off.

    :param what: the disk and the sizes, in words
    """
    if running:
        raise StateError(
            f"{what}: a disk can't shrink while its guest uses it",
            hint="shut the VM down first",
        )
    if not shrink:
        raise QemuCliError(
            f"{what}: what is behind the new end would be lost",
            hint="make the file system smaller first, in the guest; then "
            "--shrink",
        )
