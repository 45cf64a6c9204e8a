"""``qemu snapshot create``: what the guest's disks hold now is kept.

An internal snapshot is inside the disks' images, with the RAM of a VM
that runs.  An external one puts an overlay on every disk, all at one
moment; what was there before is only read from then on.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from qemu_cli import settings
from qemu_cli.errors import QemuCliError
from qemu_cli.instance import change, definitions, history, ram
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import NVRAM_ID
from qemu_cli.instance.quiesce import quiesced
from qemu_cli.instance.snapshots import create_plan, listing, machine, store
from qemu_cli.instance.snapshots.check import (
    Wanted,
    check_free,
    check_parts,
    check_sense,
    check_state,
)
from qemu_cli.instance.snapshots.create_plan import Overlay
from qemu_cli.instance.snapshots.freeze import Freeze, estimate
from qemu_cli.instance.snapshots.parts import Part, Parts, gather
from qemu_cli.instance.snapshots.store import Layer, Snapshot, Tree
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import Plan, WriteFile
from qemu_cli.storage import holders, tools


class Created(NamedTuple):
    """What was done, or would be.

    :param files: of a VM that somebody else started, what its disks have
        become, by their ids: for its next start
    """

    snapshot: Snapshot
    plan: Plan
    files: Mapping[str, str] = {}


async def create(
    host: Host,
    vm: VM,
    wanted: Wanted,
    *,
    consent: Callable[[Freeze], None],
    dry_run: bool = False,
) -> Created:
    """Take a snapshot of a VM, running or stopped.

    :param consent: is told for how long a running guest would stand still,
        and raises an error where that is too long
    :param dry_run: work it out, and change nothing
    :raise UsageError: it makes no sense
    :raise StateError: it can't be taken; says why, and what to do instead
    :raise BusyError: somebody else is at the disks
    :raise RefusedError: QEMU can't; all is undone
    """
    check_sense(wanted)
    async with change.changing(host, vm.paths) as now:
        created = await plan(host, now, wanted)
        if dry_run:
            return created
        await ask(host, now, created.snapshot, consent)
        return await take(host, now, created, quiesce=wanted.quiesce)


async def ask(
    host: Host, vm: VM, snapshot: Snapshot, consent: Callable[[Freeze], None]
) -> None:
    """Ask whether the guest may stand still for as long as that takes.

    :raise QemuCliError: what ``consent`` raises
    """
    if snapshot.vmstate is not None and vm.state == "running":
        limit_s = host.config[settings.SNAPSHOT_MAX_FREEZE]
        consent(await estimate(host, vm, limit_s))


async def take(
    host: Host, vm: VM, created: Created, *, quiesce: bool = False
) -> Created:
    """Take a snapshot as it was planned; the caller holds the lock.

    :param quiesce: freeze the guest's file systems for the moment
    :return: with the size of its RAM, and how long it took
    :raise QemuCliError: see :func:`create`
    """
    paths, snapshot = vm.paths, created.snapshot
    files = [paths.directory / layer.file for layer in snapshot.layers]
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        stack.enter_context(holders.naming(*files))
        stack.enter_context(
            history.failure_noted(paths, "snapshot create", command=host.who)
        )
        if quiesce:
            await stack.enter_async_context(quiesced(host, vm))
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


async def plan(host: Host, vm: VM, wanted: Wanted) -> Created:
    """Work out how a snapshot is taken; changes nothing.

    :raise QemuCliError: see :func:`create`
    """
    paths = vm.paths
    check_state(vm, wanted)
    tree = store.load(paths)
    definition = vm.definition
    found = await gather(host, vm, definition, wanted.disks)
    check_parts(vm, found.parts, wanted)
    snapshot = _snapshot(tree, wanted, found)
    tool = tools.find("qemu-img", host.config)
    with_ram = vm.alive and (wanted.ram or not wanted.external)
    if with_ram:
        memory = await machine.memory(host, vm, definition)
        snapshot = msgspec.structs.replace(snapshot, memory=memory)
        instead = "--external takes the disks alone"
        await ram.check_movable(host, vm, instead)
        directory = _ram_directory(paths, wanted, found.parts)
        await ram.check_room(
            host, vm, directory, f"make room there; {instead}"
        )
    if wanted.external:
        overlays = create_plan.overlays(paths, definition, found)
        work = create_plan.plan_external(
            *(paths, tree, snapshot, _definition(host, paths, overlays)),
            overlays,
            tool=tool,
            live=vm.alive,
        )
        return Created(snapshot, work)
    if with_ram:
        vmstate = _vmstate(found.parts).id
        snapshot = msgspec.structs.replace(snapshot, vmstate=vmstate)
    text = definitions.read(paths.definition)
    work = create_plan.plan_internal(
        *(paths, tree, snapshot, found.parts, text), tool=tool
    )
    return Created(snapshot, work)


def _snapshot(tree: Tree, wanted: Wanted, found: Parts) -> Snapshot:
    name = wanted.name
    if name is None:
        name = store.made_up_name(tree, found.tags)
    check_free(tree, store.check_name(name), found.tags)
    return Snapshot(
        name=name,
        key=store.new_key(tree, name, found.tags),
        kind="external" if wanted.external else "internal",
        created_s=time.time(),
        layers=tuple(
            Layer(part.id, part.file, part.format) for part in found.parts
        ),
        parent=tree.current,
        comment=wanted.comment,
    )


def _definition(
    host: Host, paths: InstancePaths, overlays: Sequence[Overlay]
) -> WriteFile:
    """The step that makes the overlays the disks of the definition."""
    from qemu_cli.instance.disks import edit  # not for internal ones

    def change_it(document: Any) -> None:
        for overlay in overlays:
            if overlay.part.id == NVRAM_ID:
                document["firmware"]["vars"] = overlay.file
            else:
                fields = {"file": overlay.file, "format": "qcow2"}
                edit.update(document, "disks", overlay.part.id, fields)

    return edit.edit(host, paths, change_it).step


def _vmstate(parts: tuple[Part, ...]) -> Part:
    """What gets the RAM: the first disk; else the UEFI variables."""
    return min(parts, key=lambda part: part.id == NVRAM_ID)


def _ram_directory(
    paths: InstancePaths, wanted: Wanted, parts: tuple[Part, ...]
) -> Path:
    if wanted.external:
        return paths.directory
    return (paths.directory / _vmstate(parts).file).resolve().parent


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
        work = Plan("measure a snapshot", (store.write(paths, tree),))
        await change.run(host, paths, work)
    return measured
