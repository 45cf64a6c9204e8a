"""The steps that serve disks of a running VM.  All pure.

A point in time, for each disk::

    device ─ filter (copy-before-write) ─ active layer
                  │ target
                  scratch                 what the guest overwrites
    client ─ access (snapshot-access) ─ filter

The scratch file is bounded: its image lies in a ``raw`` node of a fixed
size.  When it is full the guest goes on, and the export can't be read any
more (``on-cbw-error: break-snapshot``).
"""

import datetime
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qemu_cli.errors import NotFoundError, QemuCliError
from qemu_cli.instance.exports.model import Export, Kind, Wanted, unix_uri
from qemu_cli.instance.exports.running import DiskFacts, Facts
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, Qmp, Tool
from qemu_cli.steps.block import AddNode
from qemu_cli.steps.nbd import AddExport, StartServer, Switch
from qemu_cli.storage import qemu_img
from qemu_cli.units import format_size

#: The least that an image without any content needs, and some content.
_SCRATCH_MIN = 1 << 20

#: qcow2's clusters.
_CLUSTER = 1 << 16

#: Of what is free, this part is left to the disks themselves.
_RESERVE = 10


class Planned(NamedTuple):
    """Steps that serve something, what they serve, and what to say."""

    steps: tuple[AnyStep, ...]
    exports: tuple[Export, ...]
    notes: tuple[str, ...] = ()


def plan(
    paths: InstancePaths,
    wanted: Wanted,
    facts: Facts,
    ids: Collection[str],
    now: datetime.datetime,
) -> Planned:
    """Serve disks of a running VM.

    :param ids: those of the exports to be, one for each disk
    :raise NotFoundError: a disk has no such layer
    :raise QemuCliError: there is no room for what has to be kept
    """
    exports = tuple(
        _export(paths, wanted, disk, id, now)
        for disk, id in zip(facts.disks, ids, strict=True)
    )
    pairs = tuple(zip(facts.disks, exports, strict=True))
    server = StartServer(str(paths.nbd_socket), facts.stoppable)
    held = [(d, e) for d, e in pairs if e.filter is not None]
    limit = _limit(wanted, facts, sum(len(e.files) for _, e in held))
    before: list[AnyStep] = []
    after: list[AnyStep] = []
    for disk, export in held:
        size = disk.layers[0].virtual_size_bytes
        scratch, *overlay = export.files
        assert export.filter is not None  # noqa: S101
        assert export.target is not None  # noqa: S101
        before += _make(facts, scratch, size, limit)
        before.append(AddNode(_image(export.target, scratch, limit)))
        before.append(AddNode(_filter(export, disk)))
        if wanted.bitmap is not None:
            before.append(_empty_bitmap(export.target, wanted.bitmap))
        after.append(AddNode(_access(export)))
        for file in overlay:
            after += _make(facts, file, size, limit)
            top = _image(export.nodes[0], file, limit)
            after.append(AddNode({**top, "backing": export.nodes[1]}))
    if held:
        before.append(_switch(facts, held, wanted.bitmap))
    after.append(server)
    after += [AddExport(_served(export, wanted.bitmap)) for export in exports]
    return Planned((*before, *after), exports, _notes(wanted, held, limit))


def _export(
    paths: InstancePaths,
    wanted: Wanted,
    disk: DiskFacts,
    id: str,
    now: datetime.datetime,
) -> Export:
    name = wanted.name or disk.id
    kind: Kind = wanted.kind
    layer = _layer(disk, wanted.depth if kind == "backing" else 0)
    node = layer.name
    nodes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    keeps = kind == "scratch" or (kind == "pit" and disk.moves)
    if keeps:
        node = f"{id}-access"
        nodes, files = (node,), (str(paths.scratch(id, "scratch")),)
    if kind == "scratch":
        node = f"{id}-top"
        nodes, files = (node, *nodes), (*files, str(paths.scratch(id, "top")))
    return Export(
        id=id,
        vm=paths.name,
        disk=disk.id,
        name=name,
        kind=kind,
        uri=unix_uri(paths.nbd_socket, name),
        size_bytes=layer.virtual_size_bytes,
        created=now.isoformat(),
        node=node,
        nodes=nodes,
        filter=f"{id}-filter" if keeps else None,
        target=f"{id}-scratch" if keeps else None,
        files=files,
    )


def _layer(disk: DiskFacts, depth: int) -> Any:
    if depth < len(disk.layers):
        return disk.layers[depth]
    backing = len(disk.layers) - 1
    raise NotFoundError(
        f"{disk.id} has no layer {depth} below the active one"
        if backing
        else f"{disk.id} has no backing file",
        hint=f"its chain has {backing} backing files" if backing else None,
    )


def _limit(wanted: Wanted, facts: Facts, files: int) -> int:
    """How much one scratch file may take, in bytes."""
    if not files:
        return 0
    largest = max(d.layers[0].virtual_size_bytes for d in facts.disks)
    # An image is larger than its content, by far less than this.
    most = largest + largest // 1000 + _SCRATCH_MIN
    room = facts.free_bytes * (_RESERVE - 1) // _RESERVE // files
    limit = wanted.scratch_bytes or min(most, room)
    if limit < _SCRATCH_MIN:
        what = "for a scratch file" if wanted.scratch_bytes else "free"
        raise QemuCliError(
            f"{format_size(limit)} {what} are too few: what the guest "
            f"overwrites has to be kept; {format_size(_SCRATCH_MIN)} is the "
            "least",
            hint="make room, or export the moving disk: --live",
        )
    return limit // _CLUSTER * _CLUSTER


def _make(
    facts: Facts, file: str, size_bytes: int, limit: int
) -> tuple[AnyStep, ...]:
    """Make an image whose file can't grow."""
    create = qemu_img.create_argv(facts.qemu_img, file, size_bytes, "qcow2")
    return (
        Tool(create, creates=file),
        Tool(("truncate", "--size", str(limit), "--", file)),
    )


def _image(node: str, file: str, limit: int) -> dict[str, Any]:
    return {
        "driver": "qcow2",
        "node-name": node,
        "discard": "unmap",
        # It is worth nothing without its QEMU.
        "cache": {"no-flush": True},
        "file": {
            "driver": "raw",
            "size": limit,
            "file": {"driver": "file", "filename": file, "discard": "unmap"},
        },
    }


def _filter(export: Export, disk: DiskFacts) -> dict[str, Any]:
    return {
        "driver": "copy-before-write",
        "node-name": export.filter,
        "file": disk.node,
        "target": export.target,
        "on-cbw-error": "break-snapshot",
        "discard": "unmap",  # or it would swallow the guest's
    }


def _access(export: Export) -> dict[str, Any]:
    return {
        "driver": "snapshot-access",
        "node-name": export.nodes[-1],
        "file": export.filter,
    }


def _empty_bitmap(node: str, name: str) -> Qmp:
    """Make a bitmap to copy into; it goes with its node."""
    arguments = {"node": node, "name": name, "disabled": True}
    return Qmp("block-dirty-bitmap-add", arguments)


def _switch(
    facts: Facts,
    held: Sequence[tuple[DiskFacts, Export]],
    bitmap: str | None,
) -> Switch:
    """The moment: all disks get their filters, and bitmaps are copied."""
    actions = [
        {
            "type": "block-dirty-bitmap-merge",
            "data": {
                "node": export.target,
                "target": bitmap,
                "bitmaps": [{"node": disk.layers[0].name, "name": bitmap}],
            },
        }
        for disk, export in held
        if bitmap is not None
    ]
    return Switch(
        tuple((d.qdev, d.node, str(e.filter)) for d, e in held),
        tuple(actions),
        stop=facts.runs,
    )


def _served(export: Export, bitmap: str | None) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "type": "nbd",
        "id": export.id,
        "node-name": export.node,
        "name": export.name,
        "writable": export.writable,
    }
    if bitmap is not None:
        arguments["bitmaps"] = [{"node": export.target, "name": bitmap}]
    return arguments


def _notes(
    wanted: Wanted, held: Sequence[tuple[DiskFacts, Export]], limit: int
) -> tuple[str, ...]:
    if held:
        files = ", ".join(Path(e.files[0]).name for _, e in held)
        return (
            f"what the guest overwrites is kept in {files}, at most "
            f"{format_size(limit)} for each disk; when that is full, the "
            "export can't be read any more, and the guest goes on",
        )
    return ()
