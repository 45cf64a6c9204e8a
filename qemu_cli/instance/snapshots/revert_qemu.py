"""The QEMU that goes on from a snapshot's RAM: the one that runs, or a new.

RAM fits to one machine only: the same board, devices, disks and version.
"""

from collections.abc import Sequence

from qemu_cli.errors import StateError
from qemu_cli.instance import saved
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition
from qemu_cli.instance.snapshots import machine
from qemu_cli.instance.snapshots.revert_plan import Launch, Same, Target
from qemu_cli.instance.snapshots.store import Memory, Snapshot
from qemu_cli.instance.start import launch
from qemu_cli.instance.vm import VM
from qemu_cli.storage import graph

#: Run states in which a QEMU can be told to load, and to run on.
_LOADABLE = frozenset({"running", "paused", "prelaunch"})


async def same(
    host: Host,
    vm: VM,
    snapshot: Snapshot,
    memory: Memory,
    after: Definition,
    targets: Sequence[Target],
) -> tuple[Same | None, str]:
    """See whether the QEMU that runs can load it, or say why not."""
    assert vm.process is not None  # noqa: S101
    assert vm.version is not None  # noqa: S101
    if any(each.how != "in place" for each in targets):
        return None, "its disks are in other images"
    if vm.run_state not in _LOADABLE:
        return None, f"it is {vm.run_state}"
    if vm.version < memory.version:
        return None, "it was taken with a newer QEMU"
    binary = vm.process.argv[0]
    defined = machine.of_definition(host, vm.paths, vm.definition, binary)
    now, ids = await machine.running(host, vm, defined)
    async with host.sessions.open(vm.monitors) as session:
        found = await graph.read(session)
    wanted = _device_ids(host, vm, after)
    if memory.argv and ids != wanted:
        others = ", ".join(sorted(ids ^ wanted))
        return None, f"it had other devices ({others})"
    # QEMU finds the parts of a RAM by name, in whatever order.
    other = saved.difference(sorted(now), sorted(memory.argv))
    if memory.argv and other:
        return None, f"the machine was another ({other})"
    active = {
        node.name: node
        for device in found.devices
        if device.node is not None
        for node in (found.active(device),)
    }
    nodes = {}
    bitmaps = []
    for target in targets:
        for node in found.of_file(target.layer.file):
            if node.name in active:
                nodes[target.id] = node.name
                bitmaps += [(node.name, name) for name in node.bitmaps]
    written = {each.name for each in active.values() if not each.read_only}
    if written != set(nodes.values()) or len(nodes) != len(targets):
        return None, "it had other disks"
    return Same(nodes, vm.state == "running", tuple(bitmaps)), ""


def _device_ids(host: Host, vm: VM, definition: Definition) -> frozenset[str]:
    """The ids of all devices that a definition makes."""
    _, spawn = launch(host, vm.paths, definition)
    return frozenset(machine.ids_of(spawn.argv))


async def new(
    host: Host,
    vm: VM,
    snapshot: Snapshot,
    memory: Memory,
    definition: Definition,
) -> Launch:
    """How a new QEMU is run that the RAM fits to.

    :raise StateError: none can be
    """
    before, spawn = launch(
        host,
        vm.paths,
        definition,
        paused=True,
        incoming=snapshot.kind == "external",
    )
    other = saved.difference(machine.words(spawn.argv), memory.argv)
    if memory.argv and other:
        raise _misfit(vm, snapshot, f"the machine would be another ({other})")
    if versions := await saved.too_old(host, spawn.argv, memory.version):
        raise _misfit(vm, snapshot, f"it was taken by {versions}")
    return Launch(tuple(before), spawn)


def _misfit(vm: VM, snapshot: Snapshot, why: str) -> StateError:
    return StateError(
        f"'{vm.name}' can't go on from '{snapshot.name}': {why}",
        hint="undo that change, or go back to the disks alone: --no-ram",
    )
