"""What a running QEMU tells of its machine, in questions that change nothing.

The block graph says which image is of which format: an image is never
probed.  The object tree says where each device sits.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from qemu_cli.errors import RefusedError
from qemu_cli.qmp.session import Session

#: Where devices are that were asked for, with an id and without.
_NAMED, _NAMELESS = "/machine/peripheral", "/machine/peripheral-anon"

#: What is asked of a device, where it has it.
_PROPERTIES = frozenset(
    {
        *("addr", "unit", "channel", "scsi-id", "lun", "port", "mac"),
        *("hotplugged", "parent_bus", "type"),
    }
)


class Device(NamedTuple):
    """A device of the guest.

    :param path: in the object tree
    :param id: ``""`` when it has none
    :param driver: as ``-device`` calls it
    :param bus: the name of the bus that it is on, or ``""``
    """

    path: str
    id: str
    driver: str
    bus: str
    properties: Mapping[str, Any]

    @property
    def pci(self) -> str | None:
        """Its place on a PCI bus, as in ``05.1``; None: it is on none."""
        devfn = self.properties.get("addr")
        if not isinstance(devfn, int) or devfn < 0:
            return None
        return f"{devfn >> 3:02x}" + (f".{devfn & 7}" if devfn & 7 else "")


class Block(NamedTuple):
    """What a disk of the guest reads and writes.

    :param name: of the drive, or ``""``
    :param device: the guest's device; None: it could not be found
    :param file: None: there is no medium
    :param protocol: the driver of the file's node, such as ``file``;
        ``""``: it is not a file alone
    :param limits: of reads and writes, as QEMU calls them; none is 0
    """

    name: str
    device: Device | None
    node: str = ""
    file: str | None = None
    format: str = ""
    protocol: str = ""
    read_only: bool = False
    cache: tuple[bool, bool, bool] = (True, False, False)
    limits: Mapping[str, int] = {}
    encrypted: bool = False


class Live(NamedTuple):
    """One machine."""

    machine: str
    cpu: str
    cpus: int
    memory_bytes: int
    kvm: bool
    uuid: str
    blocks: tuple[Block, ...]
    devices: tuple[Device, ...]


async def ask(session: Session) -> Live:
    """Ask for everything.

    :raise QemuCliError: it does not answer
    """
    cpus = await session.execute("query-cpus-fast")
    memory = await session.execute("query-memory-size-summary")
    kvm = await session.execute("query-kvm")
    uuid = await session.execute("query-uuid")
    machine = str(await _get(session, "/machine", "type"))
    devices = []
    for directory in (_NAMED, _NAMELESS):
        for name in await _children(session, directory):
            device = await _device(session, f"{directory}/{name}")
            if device:
                devices.append(device)
    cpu = ""
    if cpus:
        cpu = str(await _get(session, cpus[0]["qom-path"], "type"))
    return Live(
        machine=machine.removesuffix("-machine"),
        # qemu64-x86_64-cpu: the model, the architecture, the kind.
        cpu=re.sub(r"-\w+-cpu$", "", cpu),
        cpus=len(cpus),
        memory_bytes=memory["base-memory"],
        kvm=kvm["enabled"],
        uuid=uuid["UUID"],
        blocks=await _blocks(session, {each.path: each for each in devices}),
        devices=tuple(devices),
    )


async def _get(session: Session, path: str, name: str) -> Any:
    arguments = {"path": path, "property": name}
    return await session.execute("qom-get", arguments)


async def _children(session: Session, directory: str) -> list[str]:
    """The names of devices, in the order in which they came."""
    try:
        found = await session.execute("qom-list", {"path": directory})
    except RefusedError:
        return []  # nobody asked for any
    names = [
        each["name"] for each in found if each["type"].startswith("child<")
    ]

    def order(name: str) -> tuple[int, str]:
        number = re.fullmatch(r"device\[(\d+)\]", name)
        return (int(number[1]), "") if number else (0, name)

    return sorted(names, key=order)


async def _device(session: Session, path: str) -> Device | None:
    """Look at one device; None: there is none of that path."""
    try:
        known = await session.execute("qom-list", {"path": path})
    except RefusedError:
        return None
    told: dict[str, Any] = {}
    for each in known:
        if each["name"] in _PROPERTIES:
            try:
                told[each["name"]] = await _get(session, path, each["name"])
            except RefusedError:
                continue  # one that can't be read
    directory, _, name = path.rpartition("/")
    return Device(
        path=path,
        id=name if directory == _NAMED else "",
        driver=str(told.pop("type", "")),
        bus=str(told.pop("parent_bus", "")).rpartition("/")[2],
        properties=told,
    )


async def _blocks(
    session: Session, devices: Mapping[str, Device]
) -> tuple[Block, ...]:
    nodes = await session.execute("query-named-block-nodes", {"flat": True})
    protocols = {
        node["file"]: node["drv"]
        for node in nodes
        if node["drv"] in ("file", "host_device", "host_cdrom")
    }
    found = []
    for each in await session.execute("query-block"):
        # The disk, or its half that does the reading and writing.
        path = str(each.get("qdev", "")).removesuffix("/virtio-backend")
        if path and not path.startswith("/"):
            path = f"{_NAMED}/{path}"
        device = devices.get(path) or (
            await _device(session, path) if path else None
        )
        found.append(_block(each, device, protocols))
    return tuple(found)


def _block(
    each: Mapping[str, Any],
    device: Device | None,
    protocols: Mapping[str, str],
) -> Block:
    block = Block(each["device"], device)
    medium = each.get("inserted")
    if not medium:
        return block
    cache = medium["cache"]
    limits = ("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr")
    return block._replace(
        node=medium.get("node-name", ""),
        file=medium["file"],
        format=medium["drv"],
        protocol=protocols.get(medium["file"], ""),
        read_only=medium["ro"],
        cache=(cache["writeback"], cache["direct"], cache["no-flush"]),
        limits={key: medium[key] for key in limits if medium.get(key)},
        encrypted=bool(medium.get("encrypted")),
    )
