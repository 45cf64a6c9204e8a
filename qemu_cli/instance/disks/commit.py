"""``qemu disk commit``: the active layer goes into its backing file.

Live, that is an *active commit*: QEMU copies until both read the same,
then holds the guest's writes; the definition is written; the disk goes
over to the backing file, and what was its active layer is removed.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from qemu_cli.errors import StateError
from qemu_cli.instance import change
from qemu_cli.instance.disks import edit, guard
from qemu_cli.instance.disks.chains import Layer
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.disks.guard import Live
from qemu_cli.instance.disks.room import check_room
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition, Disk, ImageFormat
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, Plan, Remove, Tool, WriteFile
from qemu_cli.steps.block import DropNodes, Pivot
from qemu_cli.steps.job import Job, OrderJob
from qemu_cli.storage import dependants, qemu_img, tools


async def commit(
    host: Host,
    vm: VM,
    id: str,
    *,
    confirm: Callable[[str], None],
    detach: bool = False,
    dry_run: bool = False,
) -> Done:
    """Write a disk's active layer into its backing file, and drop it.

    :param detach: leave it to QEMU, and do the rest later
    :raise StateError: there is nothing below it; that is outside of the
        instance's directory; or others or snapshots need it as it is
    """
    paths = vm.paths
    async with change.changing(host, paths) as now:
        guard.check_changeable(now)
        definition = now.definition
        disk = guard.find(now, definition, id)
        tool = tools.find("qemu-img", host.config)
        layers = await guard.layers(paths, disk, tool=tool)
        await _check(host, paths, definition, disk, layers, tool=tool)
        top, base = Path(layers[0].file), Path(layers[1].file)
        check_room(host, base.parent, layers[:1])
        seen = await guard.live(host, now, disk)
        confirm(f"write {top.name} into {base.name}, and delete {top.name}")
        fields = {
            "file": str(base.relative_to(paths.directory.resolve())),
            "format": str(layers[1].format),
        }
        edited = edit.edit(
            host, paths, lambda doc: edit.update(doc, "disks", id, fields)
        )
        plan = plan_commit(vm.name, disk, top, edited.step, seen, tool=tool)
        text = f"{id} is in {base.name} now"
        if detach:
            text = f"{id} is being committed in the background"
        data = {"disk": id, **fields, "deleted": [str(top)]}
        return await do(
            host,
            paths,
            Done(plan, text, {**data, "detached": detach}),
            action="disk commit",
            files=(top, base),
            dry_run=dry_run,
            detach=detach,
        )


async def _check(
    host: Host,
    paths: InstancePaths,
    definition: Definition,
    disk: Disk,
    layers: Sequence[Layer],
    *,
    tool: str,
) -> None:
    if len(layers) == 1:
        raise StateError(f"{disk.id} stands alone: there is nothing below it")
    if disk.read_only:
        raise StateError(f"{disk.id} is read-only")
    top, base = Path(layers[0].file), Path(layers[1].file)
    for file in (base, top):
        if not guard.is_own(paths, file):
            raise StateError(
                f"{file} is outside of the VM's directory, and is not changed",
                hint=f"'qemu disk flatten {paths.name} {disk.id}' copies it "
                "into the disk",
            )
    if layers[1].format not in get_args(ImageFormat):
        raise StateError(
            f"a disk can't be an image of format {layers[1].format}"
        )
    guard.check_no_snapshots(
        disk,
        layers[0],
        "would be lost",
        "delete them first: 'qemu snapshot delete'",
    )
    await guard.check_unneeded(
        host, paths, definition, disk, [base, top], tool=tool
    )
    wanted = dependants.identity(base)
    for snapshot in await guard.snapshots_on(paths, base, tool=tool):
        inside = snapshot.kind == "internal" and any(
            dependants.identity(paths.directory / each.file) == wanted
            for each in snapshot.layers
        )
        if not inside:
            raise StateError(
                f"the snapshot '{snapshot.name}' needs {base.name} as it is",
                hint=f"'qemu snapshot delete {paths.name} {snapshot.name}' "
                "merges what it can",
            )


def plan_commit(
    name: str,
    disk: Disk,
    top: Path,
    define: WriteFile,
    seen: Live | None,
    *,
    tool: str,
) -> Plan:
    """Work out how an active layer is committed.  Pure.

    :param define: what writes the definition of the disk below it
    :param seen: the disk in the running QEMU
    """
    title = f"disk commit {name} {disk.id}"
    if seen is None:
        merge = Tool(qemu_img.commit_argv(tool, top, disk.format))
        return Plan(title, (merge, define, Remove(str(top))), 2)
    job = f"commit-{disk.id}"
    arguments = {
        "device": seen.nodes[0],
        "base-node": seen.nodes[1],  # else it is the lowest of the chain
        "auto-finalize": False,
    }
    steps: tuple[AnyStep, ...] = (
        Job("block-commit", job, arguments, until="ready"),
        OrderJob("job-complete", job, until="pending"),
        define,
        Pivot(job, seen.device.qdev, seen.nodes[1]),
        DropNodes(seen.nodes[:1]),
        Remove(str(top)),
    )
    return Plan(title, steps, 4)
