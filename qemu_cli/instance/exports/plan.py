"""The steps that serve disks of a running VM.  All pure."""

import datetime
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qemu_cli.errors import NotFoundError, QemuCliError
from qemu_cli.instance.exports import point_in_time
from qemu_cli.instance.exports.model import Export, Kind, Wanted, unix_uri
from qemu_cli.instance.exports.running import DiskFacts, Facts
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep
from qemu_cli.steps.nbd import AddExport, StartServer, Switch
from qemu_cli.storage.graph import Node
from qemu_cli.units import format_size

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
        _export(paths, wanted, facts, disk, id, now)
        for disk, id in zip(facts.disks, ids, strict=True)
    )
    held = [
        (disk, export)
        for disk, export in zip(facts.disks, exports, strict=True)
        if export.filter is not None
    ]
    before: list[AnyStep] = []
    after: list[AnyStep] = []
    limits = []
    for disk, export in held:
        limit = _limit(wanted, facts, export, among=len(held))
        limits.append(limit)
        before += point_in_time.keep(
            facts.qemu_img,
            export,
            disk,
            limit=limit,
            torn=facts.torn,
            bitmap=wanted.bitmap,
        )
        after += point_in_time.show(facts.qemu_img, export, limit=limit)
    if held:
        before.append(_switch(facts, held, wanted.bitmap))
    after.append(StartServer(str(paths.nbd_socket), facts.stoppable))
    after += [AddExport(_served(export, wanted.bitmap)) for export in exports]
    notes = tuple(
        _note(export, limit)
        for (_, export), limit in zip(held, limits, strict=True)
    )
    return Planned((*before, *after), exports, notes)


def _export(
    paths: InstancePaths,
    wanted: Wanted,
    facts: Facts,
    disk: DiskFacts,
    id: str,
    now: datetime.datetime,
) -> Export:
    name = wanted.name or disk.id
    kind: Kind = wanted.kind
    layer = _layer(disk, wanted.depth if kind == "backing" else 0)
    writable = kind == "scratch"
    nodes: tuple[str, ...] = ()
    uses: list[str] = []
    keeps = writable or (kind == "pit" and disk.moves)
    if keeps:
        nodes = point_in_time.names(id, torn=facts.torn, writable=writable)
        uses = ["scratch", *(["view"] if facts.torn else [])]
        uses += ["top"] if writable else []
    return Export(
        id=id,
        vm=paths.name,
        disk=disk.id,
        name=name,
        kind=kind,
        uri=unix_uri(paths.nbd_socket, name),
        size_bytes=layer.virtual_size_bytes,
        created=now.isoformat(),
        node=nodes[0] if keeps else layer.name,
        nodes=nodes,
        filter=f"{id}-filter" if keeps else None,
        target=f"{id}-scratch" if keeps else None,
        files=tuple(str(paths.scratch(id, use)) for use in uses),
    )


def _layer(disk: DiskFacts, depth: int) -> Node:
    if depth < len(disk.layers):
        return disk.layers[depth]
    backing = len(disk.layers) - 1
    raise NotFoundError(
        f"{disk.id} has no layer {depth} below the active one"
        if backing
        else f"{disk.id} has no backing file",
        hint=f"its chain has {backing} backing file{'s' * (backing > 1)}"
        if backing
        else None,
    )


def _limit(wanted: Wanted, facts: Facts, export: Export, *, among: int) -> int:
    """How much one scratch file may take, in bytes.

    :param among: as many disks as share what is free
    """
    least = point_in_time.SCRATCH_MIN
    room = facts.free_bytes * (_RESERVE - 1) // _RESERVE // among
    if wanted.kind == "scratch":
        room //= 2  # what clients write is in a file of its own
    # An image is larger than its content, by far less than this.
    most = export.size_bytes + export.size_bytes // 1000 + least
    limit = wanted.scratch_bytes or min(most, room)
    if limit < least:
        what = "for a scratch file" if wanted.scratch_bytes else "to be had"
        raise QemuCliError(
            f"{format_size(limit)} {what} are too few: what the guest "
            f"overwrites has to be kept; {format_size(least)} is the least",
            hint="make room, or export the moving disk: --live",
        )
    return limit // point_in_time.CLUSTER_WHOLE * point_in_time.CLUSTER_WHOLE


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


def _note(export: Export, limit: int) -> str:
    return (
        f"{export.disk}: what the guest overwrites is kept in "
        f"{Path(export.files[0]).name}, at most {format_size(limit)}; when "
        "that is full, the export can't be read any more, and the guest goes "
        "on"
    )
