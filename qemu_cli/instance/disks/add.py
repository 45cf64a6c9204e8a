"""``qemu disk add``: a new disk, plugged in at once if the VM runs."""

from typing import Any, NamedTuple

import msgspec

from qemu_cli.errors import StateError
from qemu_cli.extensions import pick
from qemu_cli.instance import blueprint, change, create, spelling
from qemu_cli.instance.disks import guard, slots
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.disks.edit import append, edit
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition, Disk
from qemu_cli.instance.vm import VM
from qemu_cli.instance.wish import DiskWish
from qemu_cli.paths import InstancePaths
from qemu_cli.profiles.base import Profile
from qemu_cli.steps import AnyStep, Plan, WriteFile
from qemu_cli.steps.block import AddNode, Plug
from qemu_cli.storage import graph, tools


class Running(NamedTuple):
    """What a running VM has: devices and block nodes."""

    machine: slots.Machine = slots.NOTHING
    nodes: frozenset[str] = frozenset()


async def add(
    host: Host,
    vm: VM,
    wish: DiskWish,
    *,
    trust_image: bool = False,
    next_start: bool = False,
    dry_run: bool = False,
) -> Done:
    """Give a VM one more disk.

    :param next_start: leave the machine that runs as it is
    :raise UsageError: the disk can't be made so, or there is no room
    :raise StateError: the machine that runs can't take it
    :raise RefusedError: QEMU did not take it; all is undone
    """
    paths = vm.paths
    async with change.changing(host, paths) as now:
        guard.check_changeable(now)
        definition = now.definition
        profile: Profile = pick("qemu_cli.profiles", definition.profile)()
        tool = tools.find("qemu-img", host.config)
        info = await create.probe_image(host, wish, tool, trusted=trust_image)
        running = await _running(host, now)
        fields, steps = blueprint.disk_parts(
            paths, tool, free_id(paths, definition, running), wish, info
        )
        bus = wish.bus or profile.disk_buses[0]
        slot = slots.free(profile, definition, bus, running.machine)
        disk = msgspec.convert({**fields, "bus": bus, "slot": slot}, Disk)
        hot = now.alive and not next_start
        if hot:
            slots.check_pluggable(
                now.name, profile, bus, slot, running.machine
            )
        ports = slots.root_ports(definition, profile, slot)

        def change_it(document: Any) -> None:
            append(document, "disks", msgspec.to_builtins(disk))
            if ports != definition.machine.root_ports:
                document["machine"]["root_ports"] = ports

        edited = edit(host, paths, change_it)
        plan = plan_add(
            paths, disk, profile, tuple(steps), edited.step, hot=hot
        )
        return await do(
            host,
            paths,
            _done(plan, disk, waits=now.alive and not hot),
            action="disk add",
            files=(paths.directory / disk.file,),
            dry_run=dry_run,
        )


async def _running(host: Host, vm: VM) -> Running:
    if not vm.alive:
        return Running()
    async with host.sessions.open(vm.monitors) as session:
        machine = await slots.look(session)
        nodes = (await graph.read(session)).nodes
    return Running(machine, frozenset(nodes))


def free_id(
    paths: InstancePaths, definition: Definition, running: Running
) -> str:
    """Return ``disk2`` or the like: nothing and no file is called so.

    :raise StateError: there are too many files
    """
    taken = set(definition.ids)
    taken |= running.machine.ids | running.nodes
    taken |= {
        path.name.partition(".")[0] for path in paths.directory.iterdir()
    }
    for number in range(1 << 16):
        if f"disk{number}" not in taken:
            return f"disk{number}"
    raise StateError(f"there is no name for another disk in {paths.directory}")


def plan_add(
    paths: InstancePaths,
    disk: Disk,
    profile: Profile,
    making: tuple[AnyStep, ...],
    define: WriteFile,
    *,
    hot: bool,
) -> Plan:
    """Work out how a disk is added.  Pure.

    The device comes last: a guest that has seen it may not let go of it.

    :param making: what makes its image
    :param define: what writes the definition that has it
    """
    steps: list[AnyStep] = [*making]
    if hot:
        node = spelling.disk_node(disk, disk.id, paths)
        steps.append(AddNode(node))
    steps.append(define)
    if hot:
        device = spelling.disk_device(disk, disk.id, profile)
        steps.append(Plug(spelling.properties(device)))
    return Plan(f"disk add {paths.name} {disk.id}", tuple(steps))


def _done(plan: Plan, disk: Disk, *, waits: bool) -> Done:
    data = {
        "disk": disk.id,
        "file": disk.file,
        "format": disk.format,
        "bus": disk.bus,
        "slot": disk.slot,
        "waits": waits,
    }
    text = f"{disk.id} added ({disk.bus}, {disk.file})"
    if waits:
        text += "; the guest has it after the next start"
    return Done(plan, text, data)
