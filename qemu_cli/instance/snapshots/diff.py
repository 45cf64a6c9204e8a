"""``qemu snapshot diff``: where disks differ between two moments.

Of two external snapshots, or one and today, the layers between them tell
where something may have been written: that costs nothing, and does not
see that the same was written again.  Inside of an image there is no such
record: what is there now and was there then is read and compared.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Literal, NamedTuple

from qemu_cli.errors import NotFoundError
from qemu_cli.instance import needs
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import NVRAM_ID
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.snapshots import readable, store
from qemu_cli.instance.snapshots.store import Snapshot
from qemu_cli.instance.vm import VM
from qemu_cli.qmp import hmp
from qemu_cli.storage import dependants, extents, graph, images, reading, tools
from qemu_cli.storage.ranges import (
    Range,
    differing,
    intersection,
    pieces,
    union,
)
from qemu_cli.storage.reading import Content
from qemu_cli.units import format_size

#: What is read at once, and the smallest part that is told apart.
_PIECE_BYTES = 2 << 20
_UNIT_BYTES = 512

#: What today is called in messages.
_NOW = "now"


class Difference(NamedTuple):
    """Where one disk differs.

    :param how: ``extents``: something was written there; ``content``: it
        was read, and is not the same
    """

    disk: str
    size_bytes: int
    how: Literal["extents", "content"]
    ranges: list[Range]

    @property
    def differing_bytes(self) -> int:
        """How much differs."""
        return sum(each.length_bytes for each in self.ranges)


class _Moment(NamedTuple):
    """What the disks were at one moment, by their ids."""

    name: str
    disks: Mapping[str, Content]


async def diff(
    host: Host, vm: VM, name: str, other: str | None, *, content: bool = False
) -> list[Difference]:
    """Find where the disks differ between two moments.

    :param other: a snapshot; None: now
    :param content: compare, also where extents could tell
    :raise NotFoundError: there is no such snapshot, or no disk is in both
    :raise StateError: QEMU does not show all of a snapshot
    :raise ToolError: an image can't be read
    """
    tree = store.load(vm.paths)
    one = _at(vm, tree.find(name))
    if other is not None:
        two = _at(vm, tree.find(other))
    else:
        two = await _now(host, vm)
    disks = [id for id in one.disks if id in two.disks]
    if not disks:
        raise NotFoundError(
            f"no disk of '{vm.name}' is in both '{one.name}' and '{two.name}'"
        )
    for here, there in ((one, two), (two, one)):
        for id in sorted(here.disks.keys() - there.disks.keys()):
            host.warn(f"{id} is not in '{there.name}'")
    return [
        await _disk(host, vm, id, one, two, content=content) for id in disks
    ]


def _at(vm: VM, snapshot: Snapshot) -> _Moment:
    tag = snapshot.key if snapshot.kind == "internal" else None
    return _Moment(
        snapshot.name,
        {
            layer.id: Content(
                vm.paths.directory / layer.file, layer.format, tag
            )
            for layer in snapshot.layers
            if layer.id != NVRAM_ID
        },
    )


async def _now(host: Host, vm: VM) -> _Moment:
    if vm.alive:
        check_answers(vm)
        await _flush(host, vm)
        host.warn(
            f"'{vm.name}' runs: what its guest writes meanwhile may be missing"
        )
    return _Moment(
        _NOW,
        {
            disk.id: Content(vm.paths.directory / disk.file, disk.format)
            for disk in vm.definition.disks
            if not disk.read_only
        },
    )


async def _flush(host: Host, vm: VM) -> None:
    """Have QEMU write down what it knows of its images."""
    async with host.sessions.open(vm.monitors) as session:
        found = await graph.read(session)
        for device in found.devices:
            if found.chain(device):
                line = f"qemu-io {found.active(device).name} flush"
                text = await session.execute(
                    "human-monitor-command", {"command-line": line}
                )
                hmp.checked(line, text)


async def _disk(
    host: Host,
    vm: VM,
    id: str,
    before: _Moment,
    after: _Moment,
    *,
    content: bool,
) -> Difference:
    qemu_img = tools.find("qemu-img", host.config)
    one, two = before.disks[id], after.disks[id]
    size_bytes = 0
    for moment, side in ((before, one), (after, two)):
        await needs.check_there(qemu_img, vm.name, id, side.file, side.format)
        info = await images.info(qemu_img, side.file, format=side.format)
        size_bytes = max(size_bytes, info.virtual_size_bytes)
        if side.tag is not None:
            readable.check_whole(
                *(side.file, side.tag, info.virtual_size_bytes),
                what=f"{id} in the snapshot '{moment.name}'",
                revert=f"qemu snapshot revert {vm.name} {moment.name}",
            )
    where = [Range(0, size_bytes)]
    by_extents = one.tag is None and two.tag is None
    if by_extents:
        where = await _written(qemu_img, one, two)
    if by_extents and not content:
        return Difference(id, size_bytes, "extents", where)
    ranges = await _compare(host, f"{vm.name}: {id}", one, two, where)
    return Difference(id, size_bytes, "content", ranges)


async def _written(qemu_img: str, one: Content, two: Content) -> list[Range]:
    """Where a layer holds something that only one of the two stands on."""
    chains = [
        [
            dependants.identity(file)
            for file in await dependants.backing_chain(
                qemu_img, side.file, format=side.format
            )
        ]
        for side in (one, two)
    ]
    found: list[Range] = []
    for side, mine, theirs in zip(
        (one, two), chains, reversed(chains), strict=True
    ):
        common = [number for number, each in enumerate(mine) if each in theirs]
        depth = common[0] if common else len(mine)
        if depth == 0:
            continue
        found += [
            Range(extent.start_bytes, extent.length_bytes)
            for extent in await extents.read(
                qemu_img, side.file, side.format, shared=True
            )
            if extent.depth < depth and extent.kind != "nothing"
        ]
    return union(found)


async def _compare(
    host: Host, what: str, one: Content, two: Content, where: list[Range]
) -> list[Range]:
    """Read both, where either may have something, and compare.

    :param what: it is, in what is said about it
    """
    qemu_nbd = tools.find("qemu-nbd", host.config)
    qemu_img = tools.find("qemu-img", host.config)
    async with AsyncExitStack() as stack:
        left, right = [
            await stack.enter_async_context(
                reading.opened(qemu_nbd, qemu_img, side)
            )
            for side in (one, two)
        ]
        data = union([*left.data, *right.data])
        parts = pieces(intersection(where, data), _PIECE_BYTES)
        total = sum(part.length_bytes for part in parts)
        host.say(f"{what}: reads {format_size(total)} of both, and compares")
        tell = stack.enter_context(host.progress(f"comparing {what}", "B"))
        done = 0
        found: list[Range] = []
        for part in parts:
            a, b = await asyncio.gather(left.read(part), right.read(part))
            found += differing(part.start_bytes, a, b, _UNIT_BYTES)
            done += part.length_bytes
            tell(done, total)
    return union(found)
