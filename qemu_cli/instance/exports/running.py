"""What has to be known of a running VM before a disk of it is served."""

import re
import shutil
from collections.abc import Sequence
from typing import Any, NamedTuple

from qemu_cli.errors import NotFoundError, RefusedError, StateError
from qemu_cli.instance.exports.model import Wanted
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.qmp.session import Session
from qemu_cli.steps.nbd import qom_path
from qemu_cli.storage import graph, tools
from qemu_cli.storage.graph import Device, Graph, Node
from qemu_cli.suggest import did_you_mean

#: The oldest QEMU that was seen to read points in time well.  No schema
#: tells; what is done for older ones harms none.
_READS_WELL = (10, 0, 0)

#: Where firmware is: no disk.
_FLASH = re.compile(r"/machine/\S+\.flash\d+")


class DiskFacts(NamedTuple):
    """One disk that is to be served.

    :param node: the topmost one, which the device uses
    :param layers: active layer first
    """

    id: str
    qdev: str
    node: str
    layers: tuple[Node, ...]

    @property
    def moves(self) -> bool:
        """Whether its guest can write to it."""
        return not self.layers[0].read_only


class Facts(NamedTuple):
    """What a plan is made from.

    :param taken: ids that QEMU's exports have
    :param runs: the guest's CPUs run
    :param stoppable: the NBD server can be stopped without harm
    :param torn: its points in time are read wrong, see
        :mod:`.point_in_time`
    :param free_bytes: where the disks are
    """

    disks: tuple[DiskFacts, ...]
    taken: frozenset[str]
    runs: bool
    stoppable: bool
    torn: bool
    free_bytes: int
    qemu_img: str


async def look(host: Host, vm: VM, wanted: Wanted) -> Facts:
    """Find the disks, and see that they can be served.

    :param vm: it runs, and answers
    :raise NotFoundError: there is no such disk, layer or bitmap
    :raise StateError: serving it would harm the guest
    """
    async with (
        host.sessions.open(vm.monitors) as session,
        session.exchange(),
    ):
        found = await graph.read(session)
        exports = await session.execute("query-block-exports")
        status = await session.execute("query-status")
        stoppable = await server_is_stoppable(host, vm, session)
        disks = await _disks(session, found, vm, wanted)
        if not stoppable:
            await _check_threads(session, vm, disks)
        if wanted.bitmap is not None:
            await _check_bitmap(session, disks, wanted.bitmap)
    return Facts(
        disks=disks,
        taken=frozenset(export["id"] for export in exports),
        runs=status["running"],
        stoppable=stoppable,
        torn=vm.version is None or vm.version < _READS_WELL,
        free_bytes=shutil.disk_usage(vm.paths.directory).free,
        qemu_img=tools.find("qemu-img", host.config),
    )


async def server_is_stoppable(host: Host, vm: VM, session: Session) -> bool:
    """Tell whether nbd-server-stop is safe.

    An older QEMU (7.2) hangs in it for ever when a client has not come to
    the end of the handshake; and it dies when a client leaves an export
    that runs in an I/O thread.
    """
    known = await host.schema(vm, session)
    return known.has_argument("nbd-server-start", "handshake-max-seconds")


async def _disks(
    session: Session, found: Graph, vm: VM, wanted: Wanted
) -> tuple[DiskFacts, ...]:
    disks = []
    if wanted.disks:
        for id in dict.fromkeys(wanted.disks):
            device = _device(found, vm, id)
            if not await _has_drive(session, device):
                raise StateError(
                    f"'{id}' of '{vm.name}' is no device of the guest"
                )
            disks.append(_facts(found, device))
    else:
        disks = [
            _facts(found, device)
            for device in found.devices
            if _is_disk(device) and await _has_drive(session, device)
        ]
    if not disks:
        raise NotFoundError(f"'{vm.name}' has no disk")
    return tuple(disks)


def _device(found: Graph, vm: VM, id: str) -> Device:
    try:
        device = found.device(id)
        found.active(device)
    except NotFoundError as error:
        known = [each.id for each in found.devices if _is_disk(each)]
        raise NotFoundError(
            f"'{vm.name}' has no disk '{id}'",
            hint=did_you_mean(id, known)
            or f"it has {', '.join(known) or 'none'}",
        ) from error
    return device


def _is_disk(device: Device) -> bool:
    return (
        device.node is not None
        and not device.removable
        and not _FLASH.fullmatch(device.qdev)
    )


async def _has_drive(session: Session, device: Device) -> bool:
    """Whether it is a device; a ``-drive`` may be plugged to nothing."""
    arguments = {"path": qom_path(device.qdev), "property": "drive"}
    try:
        await session.execute("qom-get", arguments)
    except RefusedError:
        return False
    return True


def _facts(found: Graph, device: Device) -> DiskFacts:
    assert device.node is not None  # noqa: S101
    return DiskFacts(device.id, device.qdev, device.node, found.chain(device))


async def _check_threads(
    session: Session, vm: VM, disks: Sequence[DiskFacts]
) -> None:
    """Refuse what kills an old QEMU, see :func:`server_is_stoppable`."""
    if not await session.execute("query-iothreads"):
        return
    for disk in disks:
        path = qom_path(disk.qdev)
        bus = await _property(session, path, "parent_bus")
        # A SCSI disk's thread is its controller's.
        if await _property(session, path, "iothread") or await _property(
            session, bus.rpartition("/")[0], "iothread"
        ):
            raise StateError(
                f"{disk.id} of '{vm.name}' has an I/O thread, and this QEMU "
                "dies when a client leaves the export of such a disk",
                hint="a newer QEMU does not; or start it without iothread=",
            )


async def _property(session: Session, path: str, name: str) -> str:
    try:
        arguments = {"path": path, "property": name}
        return str(await session.execute("qom-get", arguments))
    except RefusedError:
        return ""  # it has none of that name


async def _check_bitmap(
    session: Session, disks: Sequence[DiskFacts], name: str
) -> None:
    nodes = await session.execute("query-named-block-nodes", {"flat": True})
    bitmaps: dict[str, dict[str, Any]] = {
        node["node-name"]: {
            each["name"]: each
            for each in node.get("dirty-bitmaps", ())
            if each.get("name")
        }
        for node in nodes
    }
    for disk in disks:
        known = bitmaps[disk.layers[0].name]
        if name not in known:
            raise NotFoundError(
                f"{disk.id} has no bitmap '{name}'",
                hint=f"it has {', '.join(known) or 'none'}",
            )
        if known[name].get("inconsistent"):
            raise StateError(
                f"the bitmap '{name}' of {disk.id} is worthless: its QEMU "
                "was killed, and what it had noted is lost",
                hint="remove it and make a full copy",
            )
        if known[name]["busy"]:
            raise StateError(f"the bitmap '{name}' of {disk.id} is in use")
