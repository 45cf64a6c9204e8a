"""``qemu snapshot create``: what the guest's disks hold now is kept.

An internal snapshot is inside the disks' images, with the RAM of a VM
that runs.  An external one puts an overlay on every disk, all at one
moment; what was there before is only read from then on.
"""

import time
from contextlib import suppress
from typing import NamedTuple

import msgspec

from qemu_cli.errors import QemuCliError, StateError
from qemu_cli.instance import change, history, redefine, saved
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import NVRAM_ID, Definition
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.snapshots import listing, machine, store
from qemu_cli.instance.snapshots.create_plan import plan_internal
from qemu_cli.instance.snapshots.parts import Part, Parts, gather
from qemu_cli.instance.snapshots.store import Layer, Memory, Snapshot, Tree
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import Plan
from qemu_cli.storage import holders, tools

#: Run states that a guest can go on from as if nothing had been.
_KEEPABLE = frozenset({"running", "paused", "prelaunch", "io-error"})


class Wanted(NamedTuple):
    """What a command line asks for.

    :param name: None: one is made up
    """

    name: str | None = None
    comment: str = ""


class Created(NamedTuple):
    """What was done, or would be."""

    snapshot: Snapshot
    plan: Plan


async def create(
    host: Host, vm: VM, wanted: Wanted, *, dry_run: bool = False
) -> Created:
    """Take a snapshot of a VM, running or stopped.

    :param dry_run: work it out, and change nothing
    :raise StateError: it can't be taken; says why, and what to do instead
    :raise BusyError: somebody else is at the disks
    :raise RefusedError: QEMU can't; all is undone
    """
    paths = vm.paths
    async with change.changing(host, paths) as now:
        created = await _plan(host, now, wanted)
        if dry_run:
            return created
        snapshot = created.snapshot
        files = [paths.directory / layer.file for layer in snapshot.layers]
        started = time.monotonic()
        with (
            holders.naming(*files),
            history.failure_noted(paths, "snapshot create", command=host.who),
        ):
            await change.run(host, paths, created.plan)
        seconds = time.monotonic() - started
        snapshot = await _measured(host, paths, snapshot, seconds)
        history.note(
            paths,
            "snapshot create",
            command=host.who,
            snapshot=snapshot.name,
            kind=snapshot.kind,
        )
    return created._replace(snapshot=snapshot)


async def _plan(host: Host, vm: VM, wanted: Wanted) -> Created:
    paths = vm.paths
    check_keepable(vm)
    tree = store.load(paths)
    definition = vm.definition
    found = await gather(host, vm, definition)
    snapshot = _snapshot(vm, tree, wanted, found)
    _check_internal(vm, found.parts)
    if vm.alive:
        memory = _memory(host, vm, definition)
        vmstate = _vmstate(vm, found.parts)
        snapshot = msgspec.structs.replace(
            snapshot, memory=memory, vmstate=vmstate
        )
    plan = plan_internal(
        paths,
        tree,
        snapshot,
        found.parts,
        redefine.read(paths),
        tool=tools.find("qemu-img", host.config),
    )
    return Created(snapshot, plan)


def check_keepable(vm: VM) -> None:
    """Refuse to take a snapshot of what is about to change.

    :raise StateError: says why
    """
    if saved.exists(vm.paths):
        raise StateError(
            f"'{vm.name}' has a saved state, which goes with its disks as "
            "they are",
            hint=f"'qemu start {vm.name}' goes on from it, and then a "
            "snapshot has its memory, too",
        )
    if not vm.alive:
        return
    check_answers(vm)
    if vm.run_state not in _KEEPABLE:
        raise StateError(
            f"no snapshot of '{vm.name}' can be taken: it is {vm.run_state}",
            hint=f"'qemu resume {vm.name}' first",
        )


def check_free(tree: Tree, name: str, tags: frozenset[str]) -> None:
    """Refuse a name that is taken.

    :param tags: names of internal snapshots that the images have
    :raise StateError: it is
    """
    if any(each.name == name for each in tree.snapshots):
        raise StateError(f"there is a snapshot '{name}' already")
    known = {each.key for each in tree.snapshots}
    if name in tags - known:
        raise StateError(
            f"the images have a snapshot '{name}' already, made by another "
            "program"
        )


def _snapshot(vm: VM, tree: Tree, wanted: Wanted, found: Parts) -> Snapshot:
    if not found.parts:
        raise StateError(
            f"'{vm.name}' has no disk that a snapshot could be taken of"
        )
    name = wanted.name or store.made_up_name(tree)
    check_free(tree, store.check_name(name), found.tags)
    return Snapshot(
        name=name,
        key=store.new_key(tree, name, found.tags),
        kind="internal",
        created_s=time.time(),
        layers=tuple(
            Layer(part.id, part.file, part.format) for part in found.parts
        ),
        parent=tree.current,
        comment=wanted.comment,
    )


def _check_internal(vm: VM, parts: tuple[Part, ...]) -> None:
    """Refuse an internal snapshot of what can't hold one."""
    others = [part for part in parts if part.format != "qcow2"]
    if others:
        named = ", ".join(f"{part.id} is {part.format}" for part in others)
        with_ram = " --ram" if vm.alive else ""
        raise StateError(
            f"no internal snapshot of '{vm.name}' can be taken: {named}, and "
            "only qcow2 images have room for one",
            hint=f"--external{with_ram} puts an overlay on the disks instead",
        )


def _memory(host: Host, vm: VM, definition: Definition) -> Memory:
    """What the RAM of a running VM fits to.

    :raise StateError: the definition makes another machine
    """
    assert vm.process is not None  # noqa: S101
    assert vm.version is not None  # noqa: S101
    argv = vm.process.argv
    now = machine.words(argv)
    defined = machine.of_definition(host, vm.paths, definition, argv[0])
    if now != defined:
        others = [word for word in defined if word not in now]
        others += [word for word in now if word not in defined]
        raise StateError(
            f"the definition of '{vm.name}' has changed since it was started "
            f"({', '.join(others[:1]) or 'in its order'}): a snapshot with "
            "RAM could not be gone back to",
            hint="undo that change, or restart the VM, so that it counts; "
            "--external takes the disks alone",
        )
    running = vm.state == "running"
    return Memory(now, vm.version, running, size_bytes=0, seconds=0.0)


def _vmstate(vm: VM, parts: tuple[Part, ...]) -> str:
    """The disk that gets the RAM: the first; else the UEFI variables."""
    return min(parts, key=lambda part: part.id == NVRAM_ID).id


async def _measured(
    host: Host, paths: InstancePaths, snapshot: Snapshot, seconds: float
) -> Snapshot:
    """Write down how large the RAM was and how long that took.

    The next one's freeze is estimated by it, and nothing else: when that
    can't be written, the snapshot is as good.
    """
    if snapshot.memory is None:
        return snapshot
    memory = msgspec.structs.replace(
        snapshot.memory,
        size_bytes=listing.ram_bytes(paths, snapshot) or 0,
        seconds=round(seconds, 3),
    )
    measured = msgspec.structs.replace(snapshot, memory=memory)
    tree = store.load(paths).replacing(measured)
    with suppress(QemuCliError):
        plan = Plan("measure a snapshot", (store.write(paths, tree),))
        await change.run(host, paths, plan)
    return measured
