"""``qemu disk flatten``: a disk that stands alone, in its active layer."""

from collections.abc import Callable, Sequence
from pathlib import Path

from qemu_cli.errors import StateError
from qemu_cli.instance import change
from qemu_cli.instance.disks import guard
from qemu_cli.instance.disks.chains import Layer
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.disks.guard import Live
from qemu_cli.instance.disks.room import check_room
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Disk
from qemu_cli.instance.vm import VM
from qemu_cli.steps import AnyStep, Plan, Remove
from qemu_cli.steps.block import DropNodes, Flush
from qemu_cli.steps.job import Job, OrderJob
from qemu_cli.steps.rebase import Rebase
from qemu_cli.storage import qemu_img, tools


async def flatten(
    host: Host,
    vm: VM,
    id: str,
    *,
    delete_files: bool = False,
    confirm: Callable[[str], None],
    detach: bool = False,
    dry_run: bool = False,
) -> Done:
    """Copy all that a disk stands on into its active layer.

    :param delete_files: remove the layers in the instance's directory
        that nothing needs any more
    :param detach: leave it to QEMU, and do the rest later
    :raise StateError: there is nothing below it, or snapshots in it need
        what is
    """
    paths = vm.paths
    async with change.changing(host, paths) as now:
        guard.check_changeable(now)
        definition = now.definition
        disk = guard.find(now, definition, id)
        tool = tools.find("qemu-img", host.config)
        layers = await guard.layers(paths, disk, tool=tool)
        _check(disk, layers)
        top, *below = layers
        file = Path(top.file)
        await guard.check_unneeded(
            host, paths, definition, disk, [file], tool=tool
        )
        check_room(host, file.parent, below)
        files = [Path(layer.file) for layer in below]
        unneeded = await guard.removable(
            host, paths, definition, disk, files, tool=tool
        )
        doomed = unneeded if delete_files else []
        if doomed:
            names = ", ".join(file.name for file in doomed)
            confirm(f"flatten {id}, and delete {names}")
        plan = plan_flatten(
            vm.name,
            disk,
            file,
            await guard.live(host, now, disk),
            doomed,
            tool=tool,
        )
        return await do(
            host,
            paths,
            _done(plan, disk, unneeded, doomed, detach=detach),
            action="disk flatten",
            files=(file, *files),
            dry_run=dry_run,
            detach=detach,
        )


def _check(disk: Disk, layers: Sequence[Layer]) -> None:
    if len(layers) == 1:
        raise StateError(f"{disk.id} stands alone: there is nothing below it")
    if disk.format != "qcow2":
        raise StateError(
            f"{disk.id} is an overlay of format {disk.format}, and only qcow2"
            " can be flattened",
            hint=f"'qemu disk move NAME {disk.id} FILE --flatten --to qcow2'"
            " copies it",
        )
    guard.check_no_snapshots(
        disk,
        layers[0],
        "stand on its backing file, too",
        "delete them first: 'qemu snapshot delete'",
    )


def plan_flatten(
    name: str,
    disk: Disk,
    file: Path,
    seen: Live | None,
    doomed: Sequence[Path],
    *,
    tool: str,
) -> Plan:
    """Work out how a disk is flattened.  Pure.

    :param seen: the disk in the running QEMU
    :param doomed: files to remove afterwards
    """
    title = f"disk flatten {name} {disk.id}"
    removing = [Remove(str(each)) for each in doomed]
    if seen is None:
        copy = Rebase(qemu_img.flatten_argv(tool, file))
        return Plan(title, (copy, *removing), 1)
    job = f"flatten-{disk.id}"
    arguments = {"device": seen.active.name, "auto-finalize": False}
    steps: list[AnyStep] = [
        Job("block-stream", job, arguments, until="pending"),
        Flush(seen.device.qdev),
        OrderJob("job-finalize", job),
    ]
    if removing:
        steps.append(Flush(seen.device.qdev))  # its header: it needs them not
    steps.append(DropNodes(seen.nodes[1:]))
    return Plan(title, (*steps, *removing), 2)


def _done(
    plan: Plan,
    disk: Disk,
    unneeded: Sequence[Path],
    doomed: Sequence[Path],
    *,
    detach: bool,
) -> Done:
    data = {
        "disk": disk.id,
        "file": disk.file,
        "unneeded": [str(file) for file in unneeded if file not in doomed],
        "deleted": [str(file) for file in doomed],
        "detached": detach,
    }
    text = f"{disk.id} stands alone in {disk.file}"
    if detach:
        text = f"{disk.id} is being flattened in the background"
    elif unneeded:
        names = ", ".join(file.name for file in unneeded)
        what = "deleted" if doomed else "not needed any more"
        text += f"; {what}: {names}"
    return Done(plan, text, data)
