"""From a snapshot and today's layers to the plan that goes back.  Pure.

An internal snapshot is loaded where it is only if nobody needs what the
image holds now.  Otherwise the image is copied, and the copy turned back:
``qemu-img snapshot -a`` on what an overlay stands on silently changes
what the overlay reads.  An external one is never written to again: the
disks get new overlays on it.

The order that loses nothing: new images first, then the definition and
the tree, then what can't be undone, and last of all the layers go that
nobody needs any more.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import tomlkit

from qemu_cli.instance.model import NVRAM, NVRAM_ID
from qemu_cli.instance.snapshots import store
from qemu_cli.instance.snapshots.create_plan import tag_image
from qemu_cli.instance.snapshots.layers import LayerFile, Layers
from qemu_cli.instance.snapshots.store import Snapshot, Tree
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, Plan, Qmp, Remove, Spawn, Tool, WriteFile
from qemu_cli.steps.cable import SetLinks
from qemu_cli.steps.load import Continue, DropTag, LoadSnapshot, TurnBack
from qemu_cli.steps.ram import LoadRam
from qemu_cli.storage import qemu_img

_JOB_ID = "snapshot-revert"


class Target(NamedTuple):
    """Where a disk is going to write.

    :param layer: the snapshot's layer of this disk
    :param file: the image; relative to the instance's directory
    :param how: ``in place``: it is that layer; ``copy``: a copy of it;
        ``overlay``: a new one on it
    :param bitmaps: names of dirty bitmaps, which turning back would spoil
    :param resized: the disk had another size then
    """

    id: str
    layer: LayerFile
    file: str
    how: Literal["in place", "copy", "overlay"]
    bitmaps: tuple[str, ...] = ()
    resized: bool = False


class Same(NamedTuple):
    """The QEMU that runs can load it.

    :param nodes: of all disks that are written to, by the disk's id
    :param runs: whether the guest's CPUs do
    :param bitmaps: node and name of each, which would forbid a load
    """

    nodes: Mapping[str, str]
    runs: bool
    bitmaps: tuple[tuple[str, str], ...] = ()


class Launch(NamedTuple):
    """A new QEMU; the guest's CPUs stand still until it is told.

    :param before: steps that make what it needs
    """

    before: tuple[AnyStep, ...]
    spawn: Spawn


class Facts(NamedTuple):
    """What a plan is made from.

    :param before: the text of today's definition
    :param after: that of the snapshot's, with the new files
    :param doomed: layers that nobody needs afterwards, the upper ones first
    :param tool: qemu-img
    """

    tree: Tree
    targets: tuple[Target, ...]
    before: str
    after: str
    doomed: tuple[Path, ...]
    tool: str


def choose(
    paths: InstancePaths,
    tree: Tree,
    snapshot: Snapshot,
    layers: Layers,
    bitmaps: Mapping[Path, tuple[str, ...]],
    resized: Collection[Path] = (),
) -> tuple[Target, ...]:
    """Decide for each disk of a snapshot where it is going to write.

    :param bitmaps: that are in an image
    :param resized: images whose disks had another size then
    """
    frozen = {
        paths.directory / layer.file
        for each in tree.snapshots
        if each.kind == "external"
        for layer in each.layers
    }
    frozen = {Path(os.path.realpath(file)) for file in frozen}
    targets = []
    for each in snapshot.layers:
        layer = layers.files[
            Path(os.path.realpath(paths.directory / each.file))
        ]
        free = not (
            layer.file in frozen
            or layers.above(layer.file)
            or layers.users.get(layer.file)
        )
        file, how = each.file, "in place"
        if snapshot.kind == "external" or not free:
            file = store.next_file(paths.directory, each.id, frozenset())
            how = "overlay" if snapshot.kind == "external" else "copy"
        names = () if how == "overlay" else bitmaps.get(layer.file, ())
        other = layer.file in resized
        targets.append(Target(each.id, layer, file, how, names, other))  # type: ignore[arg-type]
    return tuple(targets)


def doomed(
    layers: Layers, today: Sequence[Path], named: Sequence[Path]
) -> tuple[Path, ...]:
    """Find the layers of today that nobody needs afterwards.

    :param today: the active layers of the disks that go back
    :param named: what is going to be somebody's image
    """
    needed = set(layers.naming(named).live)
    found: dict[Path, None] = {}
    for file in today:
        for layer in layers.chain(file):
            if (
                layer not in needed
                and layers.is_inside(layer)
                and not layers.users.get(layer)
            ):
                found[layer] = None
    return tuple(found)


def define(text: str, images: Mapping[str, tuple[str, str]]) -> str:
    """Put other images into a definition's text.

    :param images: file and format of each, by the disk's id
    """
    document = tomlkit.parse(text)
    disks: Any = document.get("disks", [])
    for disk in disks:
        if disk["id"] in images:
            for key, value in zip(
                ("file", "format"), images[disk["id"]], strict=True
            ):
                if disk[key] != value:
                    disk[key] = value
    if NVRAM_ID in images and "firmware" in document:
        firmware: Any = document["firmware"]
        file, _ = images[NVRAM_ID]
        if firmware.get("vars", NVRAM) != file:
            firmware["vars"] = file
    return tomlkit.dumps(document)


def plan_revert(
    paths: InstancePaths,
    snapshot: Snapshot,
    facts: Facts,
    *,
    same: Same | None = None,
    launch: Launch | None = None,
    links: SetLinks | None = None,
) -> Plan:
    """Work out the steps.

    :param links: cables are not a snapshot's: they are as they were before
    :param same: the QEMU that runs goes back; else none runs any more
    :param launch: the QEMU that goes on from the snapshot's RAM
    """
    steps: list[AnyStep] = []
    for target in facts.targets:
        steps += _make(paths, snapshot, target, facts.tool)
    if same:
        if same.runs:
            steps.append(Qmp("stop", back="cont"))
        steps += [
            Qmp("block-dirty-bitmap-remove", {"node": node, "name": name})
            for node, name in same.bitmaps
        ]
    steps += _write_down(paths, snapshot, facts)
    if same or launch:
        after = _go_on(paths, snapshot, facts, same, launch, links, steps)
    else:
        commands = _turn_back(paths, snapshot, facts, copies=False)
        after = [TurnBack(commands)] if commands else []
    commit = len(steps)
    steps += after
    steps += [Remove(str(file)) for file in facts.doomed]
    title = f"snapshot revert {paths.name} {snapshot.name}"
    return Plan(title, tuple(steps), commit)


def _write_down(
    paths: InstancePaths, snapshot: Snapshot, facts: Facts
) -> list[AnyStep]:
    steps: list[AnyStep] = []
    if facts.after != facts.before:
        steps.append(
            WriteFile(str(paths.definition), facts.after, facts.before)
        )
    ours = any(each.key == snapshot.key for each in facts.tree.snapshots)
    current = snapshot.key if ours else None
    if current != facts.tree.current:
        tree = msgspec.structs.replace(facts.tree, current=current)
        steps.append(store.write(paths, tree))
    return steps


def _go_on(
    paths: InstancePaths,
    snapshot: Snapshot,
    facts: Facts,
    same: Same | None,
    launch: Launch | None,
    links: SetLinks | None,
    steps: list[AnyStep],
) -> list[AnyStep]:
    """Add the steps that load the RAM; returns those behind them."""
    assert snapshot.memory is not None  # noqa: S101
    if launch:
        steps += [*launch.before, launch.spawn]
    after: list[AnyStep] = []
    if snapshot.kind == "external":
        steps.append(LoadRam(str(paths.snapshot_ram(snapshot.key))))
    else:
        assert snapshot.vmstate is not None  # noqa: S101
        # A QEMU that has just been started calls the nodes as the disks.
        nodes = (
            same.nodes
            if same
            else {each.id: each.id for each in facts.targets}
        )
        in_place = any(each.how == "in place" for each in facts.targets)
        steps.append(
            LoadSnapshot(
                job_id=_JOB_ID,
                tag=snapshot.key,
                vmstate=nodes[snapshot.vmstate],
                devices=tuple(nodes[each.id] for each in facts.targets),
                in_place=in_place,
            )
        )
        if in_place:
            commands = _turn_back(paths, snapshot, facts, copies=True)
            after.append(TurnBack(commands, if_ended=True))
    if links:
        after.append(links)
    if snapshot.memory.running:
        after.append(Continue())
    copies = [each for each in facts.targets if each.how == "copy"]
    if copies and snapshot.kind == "internal":
        after.append(
            DropTag(
                job_id=f"{_JOB_ID}-copy",
                tag=snapshot.key,
                devices=tuple(each.id for each in copies),
                images=tuple(
                    tag_image(
                        facts.tool, paths.directory / each.file, snapshot.key
                    )
                    for each in copies
                ),
            )
        )
    return after


def _turn_back(
    paths: InstancePaths, snapshot: Snapshot, facts: Facts, *, copies: bool
) -> tuple[tuple[str, ...], ...]:
    """The commands that turn images back without a QEMU.

    :param copies: those, too, which else are turned back when they are made
    """
    hows = {"in place", "copy"} if copies else {"in place"}
    return tuple(
        command
        for each in facts.targets
        if each.how in hows
        for command in _back(
            *(facts.tool, paths.directory / each.file, snapshot.key),
            resized=each.resized,
        )
    )


def _back(
    tool: str, file: Path, tag: str, *, resized: bool
) -> list[tuple[str, ...]]:
    """The commands that turn an image back.

    QEMU loses clusters where it shrinks a disk in which RAM was once
    loaded (seen: 7.2.22): nobody has them, and they are never free again.
    """
    commands = [qemu_img.snapshot_argv(tool, "-a", file, tag)]
    if resized:
        mend = qemu_img.check_argv(
            *(tool, file, "qcow2"), overlay=True, repair="leaks"
        )
        commands.append(mend)
    return commands


def _make(
    paths: InstancePaths, snapshot: Snapshot, target: Target, tool: str
) -> list[AnyStep]:
    """The steps that make a disk's new image, or prepare the old one."""
    file = paths.directory / target.file
    if target.how == "overlay":
        return [_overlay(file, target.layer, paths, tool)]
    drop = [
        Tool(qemu_img.drop_bitmap_argv(tool, file, name))
        for name in target.bitmaps
    ]
    if target.how == "in place":
        return [*drop]
    return [
        *_copy(file, target.layer, tool),
        *drop,
        *_clear(file, snapshot, target, tool),
    ]


def _overlay(
    file: Path, layer: LayerFile, paths: InstancePaths, tool: str
) -> Tool:
    """An overlay; what is among the instances is spelled relative."""
    backing = str(layer.file)
    here = Path(os.path.realpath(paths.directory))
    if layer.file.is_relative_to(here.parent):
        backing = os.path.relpath(layer.file, here)
    argv = qemu_img.create_overlay_argv(
        tool,
        file,
        backing,
        layer.format,
        size_bytes=layer.virtual_size_bytes,
    )
    return Tool(argv, creates=str(file))


def _copy(file: Path, layer: LayerFile, tool: str) -> list[AnyStep]:
    argv = qemu_img.copy_argv(layer.file, file)
    steps: list[AnyStep] = [Tool(argv, creates=str(file))]
    moved = layer.file.parent != Path(os.path.realpath(file.parent))
    if moved and layer.below and layer.backing_format:
        # A relative name would mean another file there.
        argv = qemu_img.rebase_argv(
            tool, file, layer.below, layer.backing_format, unsafe=True
        )
        steps.append(Tool(argv))
    return steps


def _clear(
    file: Path, snapshot: Snapshot, target: Target, tool: str
) -> list[AnyStep]:
    """Turn a copy back, and delete the snapshots that it has copied.

    One with RAM is loaded by QEMU, and deleted after that.
    """
    wanted = snapshot.key
    # qemu-img takes digits for an id, which may be another snapshot's.
    tags = target.layer.tags - {wanted}
    others = sorted(tag for tag in tags if not tag.isdigit())
    drop: list[AnyStep] = [
        Tool(qemu_img.snapshot_argv(tool, "-d", file, tag)) for tag in others
    ]
    if snapshot.memory:
        return drop
    back = _back(tool, file, wanted, resized=target.resized)
    own = qemu_img.snapshot_argv(tool, "-d", file, wanted)
    return [*map(Tool, back), Tool(own), *drop]
