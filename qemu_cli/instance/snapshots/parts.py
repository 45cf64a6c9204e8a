"""What a snapshot is of: every image that the guest writes to.

Of a running VM QEMU is asked, not the definition alone: a snapshot that
leaves out a disk that is written to is worth nothing, and which node is a
disk's active layer only QEMU knows.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qemu_cli.errors import BusyError, NotFoundError, StateError, UsageError
from qemu_cli.instance.disks.chains import unknown
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition, Image
from qemu_cli.instance.vm import VM
from qemu_cli.storage import dependants, graph, holders, images, tools
from qemu_cli.storage.graph import Device, Graph
from qemu_cli.storage.snapshot_table import read as read_table

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session

#: The filter of an export of a point in time.
_EXPORTED = "copy-before-write"


class Part(NamedTuple):
    """An image that takes part.

    :param file: the active layer; relative to the instance's directory
    :param size_bytes: what the guest sees
    :param node: QEMU's name for the active layer; None: it does not run
    """

    id: str
    file: str
    format: str
    size_bytes: int
    node: str | None = None


class Parts(NamedTuple):
    """All images that take part.

    :param tags: of internal snapshots that they have already
    :param nodes: names of block nodes that are taken
    """

    parts: tuple[Part, ...]
    tags: frozenset[str]
    nodes: frozenset[str] = frozenset()


async def gather(
    host: Host, vm: VM, definition: Definition, only: Collection[str] = ()
) -> Parts:
    """Find the images that a snapshot is of, and see that they can be.

    :param only: ids of the disks that are meant; none: all
    :raise NotFoundError: there is no such disk, or a file is missing
    :raise StateError: QEMU has other disks than the definition
    :raise BusyError: a job, an export or another program is at them
    """
    wanted = _wanted(vm, definition, only)
    if vm.alive:
        found = await _running(host, vm, wanted, whole=not only)
    else:
        found = await _stopped(host, vm, wanted)
    tags = {
        tag.name
        for part in found.parts
        for tag in read_table(vm.paths.directory / part.file)
    }
    return found._replace(tags=frozenset(tags))


def _wanted(
    vm: VM, definition: Definition, only: Collection[str]
) -> list[Image]:
    known = {image.id: image for image in definition.images}
    for id in only:
        if id not in known:
            raise unknown(vm.name, id, [*known])
        if known[id].read_only:
            raise UsageError(
                f"{id} of '{vm.name}' is read-only: there is nothing to take "
                "a snapshot of"
            )
    return [
        image
        for image in known.values()
        if not image.read_only and (not only or image.id in only)
    ]


async def _stopped(host: Host, vm: VM, wanted: Sequence[Image]) -> Parts:
    tool = tools.find("qemu-img", host.config)
    parts = []
    for image in wanted:
        file = vm.paths.directory / image.file
        await _check_chain(tool, vm, image)
        info = await images.info(tool, file, format=image.format)
        size_bytes = info.virtual_size_bytes
        parts.append(Part(image.id, image.file, image.format, size_bytes))
    files = [vm.paths.directory / image.file for image in wanted]
    for file, others in holders.of_each(files).items():
        writers = [each for each in others if each.writes]
        if writers:
            raise BusyError(
                f"the image {file} is in use by {holders.listed(writers)}",
                hint="end that first, or wait until it is done",
            )
    return Parts(tuple(parts), frozenset())


async def _check_chain(tool: str, vm: VM, image: Image) -> None:
    """Name what is missing before a tool does it less clearly."""
    file = vm.paths.directory / image.file
    chain = await dependants.backing_chain(tool, file, format=image.format)
    for layer in chain:
        if not layer.exists():
            what = "" if layer == chain[0] else "stands on a file that "
            raise NotFoundError(
                f"{image.id} of '{vm.name}' {what}is missing: {layer}",
                hint="put it back",
            )


async def _running(
    host: Host, vm: VM, wanted: Sequence[Image], *, whole: bool
) -> Parts:
    """Match the definition's images with what QEMU has open."""
    async with (
        host.sessions.open(vm.monitors) as session,
        session.exchange(),
    ):
        found = await graph.read(session)
        devices = {image: _device(vm, image, found) for image in wanted}
        await check_idle(session, vm, found, devices.values())
    if whole:
        for device in found.devices:
            if device not in devices.values():
                _check_unwritten(vm, found, device)
    parts = []
    for image, device in devices.items():
        active = found.active(device)
        size_bytes = active.virtual_size_bytes
        parts.append(
            Part(
                *(image.id, image.file, image.format, size_bytes),
                node=active.name,
            )
        )
    return Parts(tuple(parts), frozenset(), frozenset(found.nodes))


async def check_idle(
    session: "Session", vm: VM, found: Graph, devices: Iterable[Device]
) -> None:
    """Refuse while something else goes on with the disks.

    :raise BusyError: a job or an export
    """
    going = [
        f"{job['id']} ({job['type']})"
        for job in await session.execute("query-jobs")
        if job["status"] not in ("concluded", "null")
    ]
    if going:
        raise BusyError(
            f"jobs go on in '{vm.name}': {', '.join(going)}",
            hint=f"'qemu job wait {vm.name}' waits for them",
        )
    exports = await session.execute("query-block-exports")
    for device in devices:
        nodes = [*found.chain(device), *found.filters(device)]
        names = {node.name for node in nodes}
        served = [e["id"] for e in exports if e["node-name"] in names]
        if served or any(node.driver == _EXPORTED for node in nodes):
            which = f" ({', '.join(served)})" if served else ""
            raise BusyError(
                f"{device.id} of '{vm.name}' is being exported{which}",
                hint=f"'qemu export stop {vm.name}' ends that",
            )


def _device(vm: VM, image: Image, found: Graph) -> Device:
    """Find the device that writes to an image."""
    file = vm.paths.directory / image.file
    for device in found.devices:
        chain = found.chain(device)
        if chain and _same(chain[0].file, file):
            return device
    for device in found.devices:
        if device.id == image.id and device.node is not None:
            raise StateError(
                f"{image.id} of '{vm.name}' writes to "
                f"{found.active(device).file}, and its definition says "
                f"{file}: somebody has changed it by hand",
                hint=f"'qemu edit {vm.name}' can say what is true",
            )
    raise StateError(
        f"{image.id} is in the definition of '{vm.name}', but not plugged in "
        "before its next start",
        hint="start it afresh first, or name the disks that are meant: "
        "--external --disk",
    )


def _check_unwritten(vm: VM, found: Graph, device: Device) -> None:
    chain = found.chain(device)
    if not chain or chain[0].read_only:
        return
    raise StateError(
        f"'{vm.name}' writes to a disk that is not in its definition: "
        f"{device.id or device.qdev} ({chain[0].file}); a snapshot would not "
        "have it",
        hint=f"'qemu disk add {vm.name}' takes a disk into the definition; "
        "or name the disks that are meant: --external --disk",
    )


def _same(name: str, file: Path) -> bool:
    try:
        return file.samefile(name)
    except OSError:
        return False
