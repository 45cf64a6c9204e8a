"""From what a snapshot is of to the plan that takes it.  Pure.

The definition that it is of is written down first, the tree last: what is
in the tree is there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from qemu_cli.instance import spelling
from qemu_cli.instance.model import Definition
from qemu_cli.instance.snapshots import store
from qemu_cli.instance.snapshots.parts import Part, Parts
from qemu_cli.instance.snapshots.store import Snapshot, Tree
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, MakeDirectory, Plan, Qmp, Tool, WriteFile
from qemu_cli.steps.block import AddNode
from qemu_cli.steps.ram import GoOn, SaveRam
from qemu_cli.steps.snapshot import PutOverlays, SaveSnapshot, TagImage
from qemu_cli.storage import qemu_img


class Overlay(NamedTuple):
    """An overlay that an image is going to have.

    :param file: relative to the instance's directory
    :param node: how QEMU opens it (QAPI BlockdevOptions)
    """

    part: Part
    file: str
    node: dict[str, Any]


def plan_internal(
    paths: InstancePaths,
    tree: Tree,
    snapshot: Snapshot,
    parts: Sequence[Part],
    text: str,
    *,
    tool: str,
) -> Plan:
    """Plan an internal snapshot, of a running VM or a stopped one.

    :param snapshot: as it will be in the tree
    :param text: the definition's
    :param tool: qemu-img
    """
    tags = tuple(
        tag_image(tool, paths.directory / part.file, snapshot.key)
        for part in parts
    )
    steps: list[AnyStep] = keep_definition(paths, snapshot, text)
    nodes = {part.id: part.node for part in parts if part.node}
    if snapshot.vmstate is None:
        steps += tags
    else:
        steps.append(
            SaveSnapshot(
                job_id=f"snapshot-{snapshot.key}",
                tag=snapshot.key,
                vmstate=nodes[snapshot.vmstate],
                nodes=tuple(nodes.values()),
                images=tags,
            )
        )
    commit = len(steps)
    steps.append(store.write(paths, tree.with_(snapshot)))
    return Plan(_title(paths, snapshot), tuple(steps), commit)


def overlays(
    paths: InstancePaths, definition: Definition, found: Parts
) -> tuple[Overlay, ...]:
    """Name an overlay for each image, and say how QEMU is to open it."""
    taken = frozenset(f"{node}.qcow2" for node in found.nodes)
    disks = {disk.id: disk for disk in definition.disks}
    named = []
    for part in found.parts:
        file = store.next_file(paths.directory, part.id, taken)
        name = file.removesuffix(".qcow2")
        if part.id in disks:
            disk = msgspec.structs.replace(
                disks[part.id], file=file, format="qcow2"
            )
            node = spelling.disk_node(disk, name, paths)
        else:
            node = spelling.blockdev(
                *(name, paths.directory / file, "qcow2"),
                cache="writeback",
                read_only=False,
            )
        named.append(Overlay(part, file, {**node, "backing": None}))
    return tuple(named)


def plan_external(
    paths: InstancePaths,
    tree: Tree,
    snapshot: Snapshot,
    definition: WriteFile,
    overlays: Sequence[Overlay],
    *,
    tool: str,
    live: bool,
) -> Plan:
    """Plan an external snapshot, of a running VM or a stopped one.

    :param definition: what writes the definition with the overlays
    :param live: QEMU has the images open
    """
    steps = keep_definition(paths, snapshot, definition.previous or "")
    for overlay in overlays:
        part = overlay.part
        target = paths.directory / overlay.file
        make = qemu_img.create_overlay_argv(
            *(tool, target, part.file, part.format),
            size_bytes=part.size_bytes,
            unopened=True,
        )
        steps.append(Tool(make, creates=str(target)))
    if overlays:
        steps.append(definition)
    commit = None
    if live:
        steps += [AddNode(overlay.node) for overlay in overlays]
        memory = snapshot.memory
        if memory:
            if memory.running:
                steps.append(Qmp("stop", back="cont"))
            steps.append(SaveRam(str(paths.snapshot_ram(snapshot.key))))
        if overlays:
            steps.append(
                PutOverlays(
                    tuple(
                        (
                            str(each.part.node),
                            str(each.node["node-name"]),
                            str(paths.directory / each.file),
                        )
                        for each in overlays
                    )
                )
            )
        commit = len(steps)
        if memory and memory.running:
            steps.append(GoOn(run=True, files=()))
    steps.append(store.write(paths, tree.with_(snapshot)))
    return Plan(_title(paths, snapshot), tuple(steps), commit)


def keep_definition(
    paths: InstancePaths, snapshot: Snapshot, text: str
) -> list[AnyStep]:
    """The steps that keep the definition beside the tree."""
    kept = paths.snapshot_definition(snapshot.key)
    return [
        MakeDirectory(str(paths.snapshots)),
        WriteFile(str(kept), text),
    ]


def tag_image(tool: str, file: Path, tag: str) -> TagImage:
    """The step that tags an image that nobody has open."""
    return TagImage(
        tag=tag,
        file=str(file),
        look=qemu_img.info_argv(tool, file, "qcow2"),
        make=qemu_img.snapshot_argv(tool, "-c", file, tag),
        drop=qemu_img.snapshot_argv(tool, "-d", file, tag),
        mend=qemu_img.check_argv(
            tool, file, "qcow2", overlay=True, repair="leaks"
        ),
    )


def _title(paths: InstancePaths, snapshot: Snapshot) -> str:
    return f"snapshot create {paths.name} {snapshot.name}"
