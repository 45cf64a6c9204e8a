"""A snapshot's disks, served while the VM runs or not.

What an external snapshot consists of are files that nobody writes any
more: a qemu-storage-daemon serves them as it serves a stopped VM's.  An
internal one is inside an image that a VM may be writing to; qemu-nbd can
show it without asking for a lock.
"""

from pathlib import Path

from qemu_cli.errors import NotFoundError, StateError
from qemu_cli.instance import needs
from qemu_cli.instance.exports import daemon
from qemu_cli.instance.exports.daemon import Programs
from qemu_cli.instance.exports.model import Export
from qemu_cli.instance.host import Host
from qemu_cli.instance.snapshots import readable
from qemu_cli.instance.snapshots.store import Layer, Snapshot
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep
from qemu_cli.steps.daemon import Daemon
from qemu_cli.storage import images, storage_daemon, tools
from qemu_cli.storage.images import ImageInfo

#: The layer of the UEFI variables, which is no disk.
_VARIABLES = "nvram"


def disks(snapshot: Snapshot) -> tuple[str, ...]:
    """The ids of the disks that a snapshot is of."""
    return tuple(
        layer.id for layer in snapshot.layers if layer.id != _VARIABLES
    )


async def layer(
    host: Host, vm: VM, snapshot: Snapshot, disk: str
) -> ImageInfo:
    """Find the image that has a disk as it was.

    :raise NotFoundError: the disk took no part, or the image is gone
    :raise StateError: the image has no such snapshot any more, or does
        not show all of it
    :raise BusyError: another program writes to what must not change
    """
    found = snapshot.layer(disk)
    if found is None or disk == _VARIABLES:
        raise NotFoundError(
            f"{disk} is not in the snapshot '{snapshot.name}' of '{vm.name}'",
            hint=f"it has {', '.join(disks(snapshot)) or 'no disk'}",
        )
    file = vm.paths.directory / found.file
    tool = tools.find("qemu-img", host.config)
    what = f"{disk} in the snapshot '{snapshot.name}'"
    await needs.check_there(tool, vm.name, what, file, found.format)
    if snapshot.kind == "external":
        image = (await images.chain(tool, file, format=found.format))[0]
        await daemon.check_unlocked(tool, image)
    else:
        image = await images.info(tool, file, format=found.format)
        check_inside(snapshot, found, image)
        readable.check_whole(
            *(file, snapshot.key, image.virtual_size_bytes),
            what=what,
            revert=f"qemu snapshot revert {vm.name} {snapshot.name}",
        )
    return image


def check_inside(snapshot: Snapshot, layer: Layer, image: ImageInfo) -> None:
    """See that an image has an internal snapshot.

    :raise StateError: somebody deleted it by hand
    """
    if snapshot.key not in {each.name for each in image.snapshots}:
        raise StateError(
            f"{layer.file} does not have the snapshot '{snapshot.name}' any "
            "more: it was deleted by another program",
            hint="'qemu snapshot delete' forgets it",
        )


def serve(
    paths: InstancePaths,
    programs: Programs,
    export: Export,
    snapshot: Snapshot,
    image: ImageInfo,
) -> tuple[AnyStep, ...]:
    """The steps that serve one disk of a snapshot.  Pure."""
    if snapshot.kind == "external":
        return daemon.serve(paths, programs, export, image)
    socket = paths.daemon_socket(export.id)
    pid_file = paths.daemon_pid_file(export.id)
    argv = storage_daemon.snapshot_argv(
        programs.qemu_nbd,
        Path(image.path),
        snapshot.key,
        name=export.name,
        socket=socket,
        pid_file=pid_file,
    )
    return (Daemon(argv, str(pid_file), (str(socket),)),)
