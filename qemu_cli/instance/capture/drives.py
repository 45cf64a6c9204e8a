"""What ``-drive`` and its short forms mean, and ``-blockdev``.  Pure.

The places of drives are those of blockdev.c (drive_new).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from qemu_cli.instance.capture.words import Option

_DISKS = {"hda": "0", "hdb": "1", "hdc": "2", "hdd": "3"}

#: Options that make a drive.
DRIVES = ("drive", "cdrom", *_DISKS)

#: The interface of a drive that names none, by the board; none: not known.
_INTERFACES = {"pc": "ide", "q35": "ide", "virt": "virtio",
               "microvm": "virtio", "s390": "virtio"}  # fmt: skip


class Drive(NamedTuple):
    """One drive.

    :param name: its id, or what QEMU calls it
    :param interface: ``ide``, ``virtio``, ``none`` …
    :param bus: of its interface, from 0
    :param unit: on that bus, from 0
    """

    option: Option
    keys: Mapping[str, str]
    name: str
    interface: str
    bus: int
    unit: int

    @property
    def is_cd(self) -> bool:
        """Whether it is a CD drive."""
        return self.keys.get("media") == "cdrom"


def family(machine: str) -> str:
    """The kind of board: ``q35``, ``pc``, ``virt`` …"""
    if "q35" in machine:
        return "q35"
    return machine.partition("-")[0]


def units(machine: str) -> int:
    """How many IDE disks there are on a bus: on SATA, one."""
    return 1 if family(machine) == "q35" else 2


def drives(options: Sequence[Option], machine: str) -> list[Drive]:
    """Find all drives, and where QEMU puts them."""
    found: list[Drive] = []
    for option in options:
        if option.name not in DRIVES:
            continue
        keys = _keys(option)
        interface = keys.get("if") or _INTERFACES.get(family(machine), "")
        most = {"ide": units(machine), "scsi": 7}.get(interface, 0)
        taken = {(d.bus, d.unit) for d in found if d.interface == interface}
        bus, unit = _place(keys, most, taken)
        found.append(
            Drive(
                option,
                keys,
                keys.get("id") or _name(keys, interface, most, bus, unit),
                interface,
                bus,
                unit,
            )
        )
    return found


def _keys(option: Option) -> dict[str, str]:
    if option.name == "drive":
        return dict(option.pairs)
    keys = {"file": option.value or ""}
    if option.name == "cdrom":
        return {**keys, "index": "2", "media": "cdrom"}
    return {**keys, "index": _DISKS[option.name], "media": "disk"}


def _place(
    keys: Mapping[str, str], most: int, taken: set[tuple[int, int]]
) -> tuple[int, int]:
    if keys.get("index", "").isdecimal():
        index = int(keys["index"])
        return divmod(index, most) if most else (0, index)
    bus = int(keys["bus"]) if keys.get("bus", "").isdecimal() else 0
    if keys.get("unit", "").isdecimal():
        return bus, int(keys["unit"])
    unit = 0
    while (bus, unit) in taken:
        unit += 1
        if most and unit >= most:
            bus, unit = bus + 1, 0
    return bus, unit


def _name(
    keys: Mapping[str, str], interface: str, most: int, bus: int, unit: int
) -> str:
    medium = ""
    if interface in ("ide", "scsi"):
        medium = "-cd" if keys.get("media") == "cdrom" else "-hd"
    return f"{interface}{bus if most else ''}{medium}{unit}"


class Nodes:
    """The nodes of ``-blockdev``, by their names.

    :param options: all of the command line
    """

    def __init__(self, options: Sequence[Option]) -> None:
        self._nodes = {
            option.get("node-name"): option
            for option in options
            if option.name == "blockdev"
        }

    def chain(self, name: str) -> list[Option]:
        """A node, and all that it names; the node comes first."""
        found: dict[int, Option] = {}
        left = [name]
        while left:
            option = self._nodes.get(left.pop())
            if option and option.number not in found:
                found[option.number] = option
                left += _references(option)
        return list(found.values())

    def keys(self, name: str) -> dict[str, str]:
        """What a node says, with its file's node in place of its name."""
        option = self._nodes.get(name)
        if option is None:
            return {}
        keys = dict(option.pairs)
        if "file" in keys:
            for key, value in self.keys(keys.pop("file")).items():
                keys.setdefault(f"file.{key}", value)
        return keys


def _references(option: Option) -> Iterator[str]:
    for key, value in option.pairs:
        if key in ("file", "backing") and value:
            yield value
