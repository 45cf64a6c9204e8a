"""``qemu disk remove``: unplugged if the VM runs; the file stays."""

from collections.abc import Callable, Sequence
from pathlib import Path

from qemu_cli.errors import StateError
from qemu_cli.extensions import pick
from qemu_cli.instance import change
from qemu_cli.instance.disks import edit, guard, slots
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition, Disk
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.profiles.base import Profile
from qemu_cli.steps import AnyStep, Plan, Remove, WriteFile
from qemu_cli.steps.block import DropNodes, Unplug
from qemu_cli.storage import dependants, graph, tools
from qemu_cli.storage.graph import Graph
from qemu_cli.units import format_size


async def remove(
    host: Host,
    vm: VM,
    id: str,
    *,
    delete_file: bool = False,
    next_start: bool = False,
    timeout_s: float,
    confirm: Callable[[str], None],
    dry_run: bool = False,
) -> Done:
    """Take a disk from a VM.

    :param delete_file: remove its images as well, those that are in the
        instance's directory and that nothing else needs
    :param next_start: leave the machine that runs as it is
    :param timeout_s: how long the guest may take to let go of it
    :raise StateError: the running machine can't let go of it, or others
        need what would be deleted
    :raise TimedOutError: the guest did not let go; nothing is changed
    """
    paths = vm.paths
    async with change.changing(host, paths) as now:
        guard.check_changeable(now)
        definition = now.definition
        disk = guard.find(now, definition, id)
        nodes: tuple[str, ...] = ()
        plugged = False
        if now.alive:
            plugged, nodes = await _unpluggable(
                host, now, definition, disk, next_start
            )
        if next_start and plugged and delete_file:
            raise StateError(
                f"the guest of '{now.name}' writes to {disk.id} until it is"
                " shut down",
                hint="leave --delete-file out",
            )
        doomed: list[Path] = []
        if delete_file:
            doomed = await _doomed(host, paths, definition, disk)
            confirm(_question(disk, doomed))
        hot = plugged and not next_start
        edited = edit.edit(
            host, paths, lambda doc: edit.remove(doc, "disks", id)
        )
        plan = plan_remove(
            paths,
            disk,
            edited.step,
            doomed,
            nodes=nodes if not next_start else (),
            timeout_s=timeout_s if hot else None,
        )
        return await do(
            host,
            paths,
            _done(plan, disk, doomed, waits=plugged and next_start),
            action="disk remove",
            dry_run=dry_run,
        )


async def _unpluggable(
    host: Host,
    vm: VM,
    definition: Definition,
    disk: Disk,
    next_start: bool,
) -> tuple[bool, tuple[str, ...]]:
    """Whether QEMU has the disk, and the nodes that go with it."""
    profile: Profile = pick("qemu_cli.profiles", definition.profile)()
    async with host.sessions.open(vm.monitors) as session:
        machine = await slots.look(session)
        if disk.id not in machine.ids:
            # An earlier command asked the guest, which took its time.
            return False, _left(await graph.read(session), vm, disk)
    if next_start:
        return True, ()
    slots.check_pluggable(vm.name, profile, disk.bus, disk.slot, machine)
    seen = await guard.live(host, vm, disk)
    if vm.state == "paused" and slots.port_number(disk.slot) is not None:
        raise StateError(
            f"'{vm.name}' is paused, and its guest can't let go of {disk.id}",
            hint=f"'qemu resume {vm.name}' first, or --next-start",
        )
    return True, seen.nodes if seen else ()


def _left(found: Graph, vm: VM, disk: Disk) -> tuple[str, ...]:
    """The nodes of a disk's image that no device uses."""
    used = {
        node.name for device in found.devices for node in found.chain(device)
    }
    nodes = found.of_file(vm.paths.directory / disk.file)
    return tuple(node.name for node in nodes if node.name not in used)


async def _doomed(
    host: Host, paths: InstancePaths, definition: Definition, disk: Disk
) -> list[Path]:
    """The images that go with the disk, active layer first.

    :raise StateError: others need the active layer, or it is not ours
    """
    tool = tools.find("qemu-img", host.config)
    top, *below = await dependants.backing_chain(
        tool, paths.directory / disk.file, format=disk.format
    )
    if not guard.is_own(paths, top):
        raise StateError(
            f"{top} is outside of the VM's directory, and is not deleted",
            hint="leave --delete-file out",
        )
    await guard.check_unneeded(host, paths, definition, disk, [top], tool=tool)
    if snapshots := await guard.snapshots_on(paths, top, tool=tool):
        names = ", ".join(f"'{each.name}'" for each in snapshots)
        raise StateError(
            f"{top} is needed by the snapshots {names}",
            hint="leave --delete-file out, or 'qemu snapshot delete' first",
        )
    return [
        top,
        *await guard.removable(
            host, paths, definition, disk, below, tool=tool
        ),
    ]


def _question(disk: Disk, doomed: Sequence[Path]) -> str:
    files = ", ".join(
        f"{file.name} ({format_size(file.stat().st_size)})"
        for file in doomed
        if file.exists()
    )
    return f"delete {disk.id} with {files}"


def plan_remove(
    paths: InstancePaths,
    disk: Disk,
    define: WriteFile,
    doomed: Sequence[Path],
    *,
    nodes: Sequence[str],
    timeout_s: float | None,
) -> Plan:
    """Work out how a disk is removed.  Pure.

    What the guest has let go of, it does not get back: so the first step,
    whichever it is, is the last that can fail without consequences.

    :param define: what writes the definition without it
    :param nodes: block nodes to close
    :param timeout_s: for the guest to let go of it; None: it need not
    """
    steps: list[AnyStep] = []
    if timeout_s is not None:
        steps.append(Unplug(disk.id, timeout_s))
    steps.append(define)
    if nodes:
        steps.append(DropNodes(tuple(nodes)))
    steps += [Remove(str(file)) for file in doomed]
    return Plan(f"disk remove {paths.name} {disk.id}", tuple(steps), 1)


def _done(
    plan: Plan, disk: Disk, doomed: Sequence[Path], *, waits: bool
) -> Done:
    data = {
        "disk": disk.id,
        "file": disk.file,
        "deleted": [str(file) for file in doomed],
        "waits": waits,
    }
    text = f"{disk.id} removed"
    if waits:
        text += "; the guest has it until it is shut down"
    text += "" if doomed else f"; its file stays: {disk.file}"
    return Done(plan, text, data)
