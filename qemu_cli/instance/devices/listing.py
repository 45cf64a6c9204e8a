"""Which devices a VM has, whoever started it.

A running QEMU is asked, which knows what was plugged in since it started;
of any other VM the command line of the next start says it.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qemu_cli.errors import RefusedError
from qemu_cli.extensions import pick
from qemu_cli.instance import argv
from qemu_cli.instance.devices.kinds import kind_of
from qemu_cli.instance.disks.slots import CONTAINERS
from qemu_cli.instance.host import Host, vm_facts
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.vm import VM
from qemu_cli.profiles.base import Profile

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session

#: Problems that a device can have.
WAITS = "not plugged in before the next start"
BY_HAND = "not in the definition"


class Device(NamedTuple):
    """One device; None where nobody could say.

    :param id: None: it has none, as what belongs to the board
    :param kind: what it is, see :func:`kinds.kind_of`
    :param place: as in a definition (``rp3``), or QEMU's bus and address
    :param hotpluggable: it can go while the VM runs
    :param hotplugged: it came while the VM ran
    """

    id: str | None
    driver: str | None
    kind: str
    place: str | None = None
    hotpluggable: bool | None = None
    hotplugged: bool | None = None
    problem: str | None = None


async def devices(host: Host, vm: VM, *, board: bool = False) -> list[Device]:
    """List the devices of a VM.

    :param board: root ports, too, and what belongs to the board itself
    :raise QemuCliError: its monitor can't be used; says why
    """
    found = [] if vm.foreign else _defined(host, vm)
    if vm.alive:
        check_answers(vm)
        async with host.sessions.open(vm.monitors) as session:
            plugged = await read(session)
            if board:
                plugged += await _board(session)
        found = plugged if vm.foreign else _compared(plugged, found)
    return [each for each in found if board or each.kind != "port"]


def _compared(
    plugged: Sequence[Device], defined: Sequence[Device]
) -> list[Device]:
    """What QEMU has, and then what only the definition has."""
    known = {each.id for each in defined}
    there = {each.id for each in plugged}
    return [
        each._replace(problem=BY_HAND)
        if each.id and each.id not in known
        else each
        for each in plugged
    ] + [
        each._replace(problem=WAITS)
        for each in defined
        if each.id and each.id not in there
    ]


async def read(session: "Session") -> list[Device]:
    """Ask a QEMU what it was given, at its start or later."""
    found = []
    async with session.exchange():
        for container in CONTAINERS:
            children = await session.execute("qom-list", {"path": container})
            for child in children:
                if child["type"].startswith("child<"):
                    path = f"{container}/{child['name']}"
                    driver = child["type"][len("child<") : -1]
                    named = container == CONTAINERS[0]
                    id = child["name"] if named else None
                    found.append(await _one(session, path, id, driver))
    return sorted(found, key=_order)


async def _one(
    session: "Session", path: str, id: str | None, driver: str
) -> Device:
    async def get(name: str) -> Any:
        try:
            return await session.execute(
                "qom-get", {"path": path, "property": name}
            )
        except RefusedError:
            return None  # it has no such property

    bus = str(await get("parent_bus") or "").rpartition("/")[2]
    place: str | None = bus or None
    if driver in ("pc-dimm", "nvdimm"):
        place = f"dimm:{await get('slot')}"
    elif bus == "scsi0.0":
        place = f"scsi0:{await get('scsi-id')}"
    elif bus == "usb0.0":
        place = f"usb:{await get('port')}"
    elif bus.startswith("ide."):
        place = f"sata:{bus.removeprefix('ide.')}"
    elif bus:
        place = _at(bus, await get("addr"))
    return Device(
        *(id, driver, kind_of(driver), place),
        bool(await get("hotpluggable")),
        bool(await get("hotplugged")),
    )


def _at(bus: str, address: Any) -> str:
    """A place on a PCI bus; QEMU's number has the function in it."""
    if not isinstance(address, int) or address <= 0:
        return bus
    slot, function = divmod(address, 8)
    return f"{bus}:{slot:02x}" + (f".{function}" if function else "")


async def _board(session: "Session") -> list[Device]:
    """The PCI devices without an id (QAPI PciInfo)."""
    found: list[Device] = []

    def collect(devices: list[dict[str, Any]]) -> None:
        for each in devices:
            if not each["qdev_id"]:
                address = each["slot"] * 8 + each["function"]
                info = each["class_info"]
                what = info.get("desc") or f"class {info['class']:04x}"
                place = _at(f"pci.{each['bus']}", address)
                found.append(Device(None, None, what, place, False, False))
            bridge = each.get("pci_bridge", {})
            collect(bridge.get("devices", []))

    for bus in await session.execute("query-pci"):
        collect(bus["devices"])
    return found


def _defined(host: Host, vm: VM) -> list[Device]:
    """What the next start will make."""
    definition = vm.definition
    profile: Profile = pick("qemu_cli.profiles", definition.profile)()
    words = argv.build(
        definition,
        profile,
        vm.paths,
        binary=Path("qemu"),
        extra=host.hooks.add_arguments(vm_facts(vm.paths, definition)),
    )
    places = {each.id: each.slot for each in definition.placed}
    found = []
    for option, value in itertools.pairwise(words):
        if option != "-device":
            continue
        driver, *rest = value.replace(",,", "\0").split(",")
        keys = dict(word.partition("=")[::2] for word in rest)
        id = keys.get("id")
        place = places.get(str(id)) or _place_of(keys)
        pluggable = profile.hotplug and place.startswith(
            ("rp", "usb:", "scsi0:", "dimm:", "vserial0.0")
        )
        found.append(
            Device(id, driver, kind_of(driver), place or None, pluggable)
        )
    return sorted(found, key=_order)


def _place_of(keys: dict[str, str]) -> str:
    bus = keys.get("bus", "")
    if bus == "usb0.0":
        return f"usb:{keys.get('port')}"
    if "memdev" in keys:
        return f"dimm:{keys.get('slot')}"
    if not bus or "addr" not in keys:
        return bus
    number, _, function = keys["addr"].partition(".")
    try:
        address = int(number, 0) * 8 + int(function or "0", 0)
    except ValueError:
        return bus
    return _at(bus, address)


def _order(device: Device) -> tuple[bool, bool, str, str]:
    """Ports come last: there are many."""
    return (
        device.kind == "port",
        device.id is None,
        device.kind,
        device.id or "",
    )
