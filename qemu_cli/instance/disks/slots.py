"""Places for disks: which are free, and which a running machine has.

QEMU 7.2 takes a second device for a root port that has one, silently, and
the guest never sees it.  So a place is free only if neither the definition
nor the running QEMU has anything there.
"""

from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from qemu_cli.errors import RefusedError, StateError
from qemu_cli.instance.model import Definition
from qemu_cli.profiles.base import Profile

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session

CONTAINERS = ("/machine/peripheral", "/machine/peripheral-anon")

#: Where a board has its first device of a kind, if it has any.
_CONTROLLERS = {"scsi0": "scsi0", "usb": "usb0"}


class Machine(NamedTuple):
    """What a running machine has plugged in.

    :param ids: of all devices that have one
    :param places: that are taken, as in the definition (``rp3``)
    """

    ids: frozenset[str]
    places: frozenset[str]


#: A VM that does not run.
NOTHING = Machine(frozenset(), frozenset())


async def look(session: "Session") -> Machine:
    """Ask a QEMU what it has plugged in (qapi/qom.json)."""
    ids, places = set(), set()
    async with session.exchange():
        for container in CONTAINERS:
            for device, kind in await _children(session, container):
                if container == CONTAINERS[0]:
                    ids.add(device)
                if kind.endswith("-cpu"):
                    continue  # it is on no bus
                path = f"{container}/{device}"
                bus = await _get(session, path, "parent_bus")
                if bus:
                    name = str(bus).split("/")[-1]
                    places.add(await _place(session, path, name))
    return Machine(frozenset(ids), frozenset(places))


async def plugged(session: "Session") -> frozenset[str]:
    """Ask for the ids alone: one question, not one for each device."""
    return frozenset(
        device for device, _ in await _children(session, CONTAINERS[0])
    )


async def _place(session: "Session", path: str, bus: str) -> str:
    """Where a device sits: its bus, and its number there if it has one."""
    if bus == "scsi0.0":
        return f"scsi0:{await _get(session, path, 'scsi-id')}"
    if bus == "usb0.0":
        return f"usb:{await _get(session, path, 'port')}"
    return bus


async def _children(session: "Session", path: str) -> list[tuple[str, str]]:
    """Names and types."""
    found = await session.execute("qom-list", {"path": path})
    return [
        (each["name"], each["type"][len("child<") : -1])
        for each in found
        if each["type"].startswith("child<")
    ]


async def _get(session: "Session", path: str, name: str) -> Any:
    try:
        return await session.execute(
            "qom-get", {"path": path, "property": name}
        )
    except RefusedError:
        return None  # no such property: not a device on a bus


def free(
    profile: Profile, definition: Definition, bus: str, machine: Machine
) -> str:
    """Find a place on a bus; the ones that are given stay as they are.

    :raise UsageError: the board has no such bus, or no room there
    """
    profile.check_bus(bus)
    return first_free(profile, definition, bus, machine)


def first_free(
    profile: Profile, definition: Definition, bus: str, machine: Machine
) -> str:
    """The same for a bus of any kind, as :meth:`Profile.slots` takes it.

    :raise UsageError: there is no room
    """
    taken = machine.places | {each.slot for each in definition.placed}
    for number in count(1):
        place = profile.slots([bus] * number)[-1]
        if place == "mmio" or place not in taken:
            return place
    raise AssertionError  # slots() has raised before


def root_ports(definition: Definition, profile: Profile, place: str) -> int:
    """How many root ports the machine needs, with spare ones for later."""
    now = definition.machine.root_ports
    number = port_number(place)
    if number is None or number < now:
        return now
    return number + 1 + profile.spare_ports()


def port_number(place: str) -> int | None:
    """The number of a root port; None: it is another place."""
    digits = place.removeprefix("rp")
    return int(digits) if place != digits and digits.isdigit() else None


def check_pluggable(
    name: str,
    profile: Profile,
    bus: str,
    place: str,
    machine: Machine,
    *,
    what: str = "disk",
) -> None:
    """Refuse what a running machine can't take.

    :param what: it is about
    :raise StateError: says why, and what to do instead
    """
    kind = place.partition(":")[0]
    hint = "--next-start leaves the machine that runs as it is"
    if not profile.hotplug:
        why = f"a {profile.name} machine takes no {what}s while it runs"
    elif bus == "sata":
        why = "SATA disks can't be plugged in or out while it runs"
    elif port_number(place) is not None and place not in machine.ids:
        why = "it has no root port left"
    elif kind in _CONTROLLERS and _CONTROLLERS[kind] not in machine.ids:
        why = f"it was started without a {bus} controller"
        if kind == "usb":
            hint = f"'qemu device add {name} qemu-xhci' adds one; {hint}"
    else:
        return
    raise StateError(
        f"'{name}' runs, and {why}",
        hint=hint,
    )
