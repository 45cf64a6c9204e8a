"""How a disk is moved.  Pure."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qemu_cli.instance import spelling
from qemu_cli.instance.disks.chains import Layer
from qemu_cli.instance.disks.guard import Live, free_node
from qemu_cli.instance.model import Disk
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, Move, Plan, Remove, Tool, WriteFile
from qemu_cli.steps.block import AddNode, DropNodes, Pivot
from qemu_cli.steps.job import Job, OrderJob
from qemu_cli.storage import qemu_img


@dataclass(frozen=True)
class Facts:
    """What there is.

    :param tool: qemu-img
    :param layers: of the disk, active layer first
    :param backing: how the active layer spells its backing file
    :param seen: the disk in the running QEMU
    :param define: what writes the new definition
    :param tree: what tells the snapshots inside of it, if there are any
    :param mine: the old file is ours, and is not to be kept
    :param here: the new file is on the same file system
    """

    tool: str
    layers: tuple[Layer, ...]
    backing: str | None
    seen: Live | None
    define: WriteFile
    tree: WriteFile | None
    mine: bool
    here: bool


def plan_move(
    paths: InstancePaths, disk: Disk, new: Disk, facts: Facts, *, flatten: bool
) -> Plan:
    """Work out how a disk is moved.

    :param new: the disk as it will be
    :param flatten: copy what it stands on, too
    """
    title = f"disk move {paths.name} {disk.id}"
    target = paths.directory / new.file
    old = Path(facts.layers[0].file)
    stays = len(facts.layers) > 1 and not flatten
    base = facts.layers[1] if stays else None
    if facts.seen:
        steps = _live(facts.seen, paths, new, target, facts, base)
    else:
        steps = _stopped(paths, disk, new, target, facts, base, old)
    commit = len(steps)
    if facts.seen:
        steps.append(DropNodes(facts.seen.nodes))
    if facts.mine and not isinstance(steps[0], Move):
        steps.append(Remove(str(old)))
    return Plan(title, tuple(steps), commit)


def _stopped(
    paths: InstancePaths,
    disk: Disk,
    new: Disk,
    target: Path,
    facts: Facts,
    base: Layer | None,
    old: Path,
) -> list[AnyStep]:
    """A file that nobody uses is copied, or just renamed."""
    copy: AnyStep
    alone = len(facts.layers) == 1
    if new.format != disk.format or not (base or alone):
        convert = qemu_img.convert_argv(
            *(facts.tool, old, disk.format, target, new.format)
        )
        copy = Tool(convert, creates=str(target))
    elif facts.mine and facts.here:
        copy = Move(str(old), str(target))
    else:
        copy = Tool(qemu_img.copy_argv(old, target), creates=str(target))
    steps: list[AnyStep] = [copy]
    relative = facts.backing and not facts.backing.startswith("/")
    if base and relative and target.parent != old.parent:
        steps.append(_respell(paths, target, base, facts))
    if facts.tree:
        steps.append(facts.tree)
    return [*steps, facts.define]


def _respell(
    paths: InstancePaths, target: Path, base: Layer, facts: Facts
) -> Tool:
    """A relative name of a backing file means another file elsewhere."""
    image_format = str(base.format)
    there = qemu_img.rebase_argv(
        *(facts.tool, target, _spelled(paths, base, target), image_format),
        unsafe=True,
    )
    back = qemu_img.rebase_argv(
        facts.tool, target, str(facts.backing), image_format, unsafe=True
    )
    return Tool(there, back=back)


def _spelled(paths: InstancePaths, base: Layer, target: Path) -> str:
    """A backing file's name; what is among the instances is relative."""
    root = paths.directory.parent
    if target.is_relative_to(root) and Path(base.file).is_relative_to(root):
        return os.path.relpath(base.file, target.parent)
    return base.file


def _live(
    seen: Live,
    paths: InstancePaths,
    new: Disk,
    target: Path,
    facts: Facts,
    base: Layer | None,
) -> list[AnyStep]:
    size_bytes = seen.active.virtual_size_bytes
    if base:
        create = qemu_img.create_overlay_argv(
            *(facts.tool, target, _spelled(paths, base, target)),
            str(base.format),
            size_bytes=size_bytes,
        )
    else:
        create = qemu_img.create_argv(
            facts.tool, target, size_bytes, new.format
        )
    node = free_node(new.id, seen.graph)
    job = f"move-{new.id}"
    mirror: dict[str, Any] = {
        "device": seen.active.name,
        "target": node,
        "sync": "top" if base else "full",
        "copy-mode": "write-blocking",
        "auto-finalize": False,
    }
    return [
        Tool(create, creates=str(target)),
        AddNode(spelling.disk_node(new, node, paths)),
        Job("blockdev-mirror", job, mirror, until="ready"),
        OrderJob("job-complete", job, until="pending"),
        facts.define,
        Pivot(job, seen.device.qdev, node),
    ]
