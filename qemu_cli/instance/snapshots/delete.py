"""``qemu snapshot delete``: snapshots go, what others need of them stays.

A layer that nobody names any more is merged with what stands on it, see
:mod:`qemu_cli.instance.snapshots.merging`.  A merge that fails, or whose
program is killed, is taken back and loses nothing: the next delete, also
one that names no snapshot, finds the layer and merges it.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qemu_cli.errors import (
    BusyError,
    NotFoundError,
    QemuCliError,
    StateError,
    UsageError,
)
from qemu_cli.instance import change, definitions, history
from qemu_cli.instance.disks import guard
from qemu_cli.instance.disks.room import warn_of_room
from qemu_cli.instance.exports import held
from qemu_cli.instance.host import Host
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.snapshots import delete_plan, layers, parts, store
from qemu_cli.instance.snapshots.delete_plan import Chain, World
from qemu_cli.instance.snapshots.layers import LayerFile, Layers
from qemu_cli.instance.snapshots.merging import Merge, kept, merges
from qemu_cli.instance.snapshots.store import Layer, Snapshot
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import Plan
from qemu_cli.storage import graph, holders, tools
from qemu_cli.units import format_size


class Deleted(NamedTuple):
    """What was done, or would be."""

    plan: Plan
    text: str
    data: dict[str, Any]


class _Work(NamedTuple):
    """What there is to do.

    :param merges: each with the layers after it
    """

    snapshots: tuple[Snapshot, ...]
    before: World
    forget: Plan
    after: World
    merges: list[tuple[Merge, Layers]]


async def delete(
    host: Host,
    vm: VM,
    names: Sequence[str],
    *,
    confirm: Callable[[str], None],
    detach: bool = False,
    dry_run: bool = False,
) -> Deleted:
    """Delete snapshots; without a name, merge what an earlier one left.

    :param names: of snapshots, or tags that other programs made
    :param detach: leave the merge to QEMU, and do the rest later
    :raise NotFoundError: there is no such snapshot, nor tag
    :raise StateError: one can't be deleted; says why
    :raise BusyError: somebody is at the files
    """
    paths = vm.paths
    tool = tools.find("qemu-img", host.config)
    async with change.changing(host, paths) as now:
        work = await _gather(host, now, names, tool=tool)
        _check_detach(now, work, detach)
        for line in _told(work):
            host.say(line)
        confirm(_question(now, work))
        if dry_run:
            return _deleted(work, _plans(paths, work, tool=tool))
        plans = await _do(host, paths, work, tool=tool, detach=detach)
        return _deleted(work, plans, detach=detach)


async def _gather(
    host: Host, vm: VM, names: Sequence[str], *, tool: str
) -> _Work:
    paths = vm.paths
    guard.check_unsaved(vm)
    held.check_unused(paths)
    if vm.alive:
        check_answers(vm)
    tree = store.load(paths)
    definition = vm.definition
    found = await layers.read(host, paths, definition, tree, tool=tool)
    chains = await _chains(host, vm) if vm.alive else ()
    world = World(found, tree, definitions.read(paths.definition), chains)
    snapshots = tuple(_find(vm, world, name) for name in dict.fromkeys(names))
    for snapshot in snapshots:
        held.check_not_held(paths, snapshot.key, snapshot.name)
        _check_reachable(vm, world, snapshot)
    forget, after = delete_plan.forget(paths, world, snapshots, tool=tool)
    work = _Work(snapshots, world, forget, after, merges(after.layers))
    if not snapshots and not work.merges:
        raise UsageError(
            "no snapshot named, and nothing is left to be merged",
            hint=f"'qemu snapshot list {vm.name}' shows them",
        )
    _check_whole(vm, after)
    _check_own_tags(vm, work)
    _check_free(vm, work)
    return work


async def _chains(host: Host, vm: VM) -> tuple[Chain, ...]:
    """What the devices of the running QEMU read, where nobody is at it."""
    async with host.sessions.open(vm.monitors) as session:
        found = await graph.read(session)
        await parts.check_idle(session, vm, found, found.devices)
    return tuple(
        Chain(
            device.qdev,
            tuple((node.name, Path(node.file).resolve()) for node in nodes),
        )
        for device in found.devices
        if (nodes := found.chain(device))
    )


def _find(vm: VM, world: World, name: str) -> Snapshot:
    """Find a snapshot, or make one up for a tag that is not ours."""
    try:
        return world.tree.find(name)
    except NotFoundError:
        keys = {each.key for each in world.tree.snapshots}
        tagged = tuple(
            Layer(layer.id, str(layer.file), layer.format)
            for layer in world.layers.files.values()
            if name in layer.tags - keys and world.layers.is_inside(layer.file)
        )
        if not tagged:
            raise
    if name.isdigit():
        raise StateError(
            f"the snapshot '{name}' of '{vm.name}' was made by another "
            "program, and could be taken for an id of another one",
            hint="'qemu disk list --columns +snapshots' shows where it is; "
            "delete it with that program",
        )
    return Snapshot(name, name, "internal", 0.0, tagged)


def _check_reachable(vm: VM, world: World, snapshot: Snapshot) -> None:
    """Refuse what QEMU can't write to as long as it runs.

    :raise StateError: the tag is in a layer that it only reads
    """
    if snapshot.kind != "internal":
        return
    for file in delete_plan.tagged(vm.paths, world.layers, snapshot):
        chain = world.chain_of(file)
        if chain and chain.place(file):
            raise StateError(
                f"the snapshot '{snapshot.name}' is inside of {file.name}, "
                f"which '{vm.name}' stands on, and which its QEMU only reads",
                hint=f"'qemu shutdown {vm.name}' first",
            )


def _check_whole(vm: VM, after: World) -> None:
    """Refuse while it is not known what is still needed.

    What a layer that is missing stands on could be taken for what nobody
    needs any more.

    :raise NotFoundError: a file is missing
    """

    def missing(file: str) -> Path | None:
        place = Path(os.path.realpath(vm.paths.directory / file))
        return after.layers.missing(place)

    for image in vm.definition.images:
        if not image.read_only and (file := missing(image.file)):
            raise NotFoundError(
                f"{image.id} of '{vm.name}' lacks a file: {file}",
                hint="put it back",
            )
    for snapshot in after.tree.snapshots:
        for layer in snapshot.layers:
            if file := missing(layer.file):
                raise NotFoundError(
                    f"the snapshot '{snapshot.name}' of '{vm.name}' lacks a "
                    f"file: {file}",
                    hint=f"put it back, or delete '{snapshot.name}', too",
                )


def _check_own_tags(vm: VM, work: _Work) -> None:
    """Refuse to remove a file with snapshots that we know nothing of."""
    for layer in delete_plan.removed(work.before.layers, work.after.layers):
        gone = {each.key for each in work.snapshots}
        others = sorted(layer.tags - gone)
        if others:
            names = ", ".join(f"'{each}'" for each in others)
            raise StateError(
                f"{layer.file.name} of '{vm.name}' would go, and the "
                f"snapshots {names} with it, which other programs made",
                hint="name them, too, to delete them",
            )


def _check_free(vm: VM, work: _Work) -> None:
    """Refuse while another program has a file that is to be changed.

    What QEMU itself has open is changed by it.

    :raise BusyError: names the program
    """
    changed = set()
    gone = delete_plan.removed(work.before.layers, work.after.layers)
    changed |= {layer.file for layer in gone}
    for snapshot in work.snapshots:
        if snapshot.kind == "internal":
            changed |= set(
                delete_plan.tagged(vm.paths, work.before.layers, snapshot)
            )
    for merge, _ in work.merges:
        changed |= {merge.top.file, *(each.file for each in merge.gone)}
        if merge.kind == "commit":
            changed |= {merge.base.file, *(e.file for e in merge.above)}
    for file, found in holders.of_each(changed).items():
        pid = vm.process.pid if vm.process else None
        reached = work.before.chain_of(file) is not None
        others = [each for each in found if each.pid != pid or not reached]
        if others:
            raise BusyError(
                f"{file} is in use by {holders.listed(others)}",
                hint="end that first, or wait until it is done",
            )


def _check_detach(vm: VM, work: _Work, detach: bool) -> None:
    if not detach:
        return
    if len(work.merges) != 1 or not work.before.chain_of(
        work.merges[0][0].top.file
    ):
        raise UsageError(
            f"--detach leaves one merge to the QEMU of '{vm.name}', and here "
            f"are {len(work.merges) if vm.alive else 'none'} for it to do",
            hint="leave it out",
        )


def _told(work: _Work) -> list[str]:
    """Say what goes, what is merged and what stays."""
    lines = []
    for each in work.snapshots:
        words: list[str] = [each.kind]
        if each.memory:
            words.append(f"{format_size(each.memory.size_bytes)} of RAM")
        lines.append(f"snapshot '{each.name}' ({', '.join(words)})")
    gone = delete_plan.removed(work.before.layers, work.after.layers)
    lines += [f"  {_sized(layer)} is removed" for layer in gone]
    lines += [f"  {_merge_told(merge)}" for merge, _ in work.merges]
    last = work.merges[-1][1] if work.merges else work.after.layers
    lines += [
        f"  {layer.file.name} stays: {why}" for layer, why in _stay(last)
    ]
    return lines


def _stay(layers: Layers) -> list[tuple[LayerFile, str]]:
    found = list(kept(layers).items())
    for layer in delete_plan.unneeded(layers):
        users = ", ".join(f"'{each}'" for each in layers.users[layer.file])
        if users and layers.is_inside(layer.file):
            found.append((layer, f"{users} stands on it"))
    return found


def _merge_told(merge: Merge) -> str:
    run = ", ".join(map(_sized, merge.run))
    if merge.kind == "commit":
        return f"{_sized(merge.top)} is written into {merge.base.file.name}"
    text = f"{run} is copied into {merge.top.file.name}"
    return f"{text}, and removed" if merge.gone else text


def _sized(layer: LayerFile) -> str:
    return f"{layer.file.name} ({format_size(layer.actual_size_bytes)})"


def _question(vm: VM, work: _Work) -> str:
    if not work.snapshots:
        return f"merge these layers of '{vm.name}'"
    names = ", ".join(f"'{each.name}'" for each in work.snapshots)
    plural = "s" if len(work.snapshots) > 1 else ""
    return f"delete the snapshot{plural} {names} of '{vm.name}'"


def _plans(paths: InstancePaths, work: _Work, *, tool: str) -> list[Plan]:
    plans = [work.forget] if work.snapshots else []
    world = work.after
    for merge, after in work.merges:
        plan, world = delete_plan.merge(paths, world, merge, after, tool=tool)
        plans.append(plan)
    return plans


async def _do(
    host: Host,
    paths: InstancePaths,
    work: _Work,
    *,
    tool: str,
    detach: bool,
) -> list[Plan]:
    names = [each.name for each in work.snapshots]
    if names:
        await change.run(host, paths, work.forget)
        history.note(
            paths, "snapshot delete", command=host.who, snapshots=names
        )
    plans = [work.forget]
    world = work.after
    for merge, after in work.merges:
        warn_of_room(host, paths.directory, merge.moved_bytes, "the merge")
        plan, world = delete_plan.merge(paths, world, merge, after, tool=tool)
        plans.append(plan)
        try:
            with holders.naming(merge.top.file, merge.base.file):
                await change.run(host, paths, plan, detach=detach)
        except QemuCliError as error:
            if names:
                host.say(f"{paths.name}: deleted {', '.join(names)}")
            error.hint = error.hint or (
                "nothing is lost: 'qemu snapshot delete "
                f"{paths.name}' merges what is left"
            )
            raise
    return plans


def _deleted(
    work: _Work, plans: Sequence[Plan], *, detach: bool = False
) -> Deleted:
    names = [each.name for each in work.snapshots]
    gone = delete_plan.removed(work.before.layers, work.after.layers)
    gone += [layer for merge, _ in work.merges for layer in merge.gone]
    last = work.merges[-1][1] if work.merges else work.after.layers
    quoted = ", ".join(f"'{each}'" for each in names)
    text = f"deleted {quoted}" if names else "merged what was left"
    if detach:
        text += "; the merge goes on in the background"
    steps = tuple(step for plan in plans for step in plan.steps)
    data = {
        "snapshots": names,
        "removed": [str(layer.file) for layer in gone],
        "kept": [str(layer.file) for layer, _ in _stay(last)],
        "detached": detach,
    }
    return Deleted(Plan("snapshot delete", steps), text, data)
