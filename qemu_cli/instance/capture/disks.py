"""Disks and CD drives: from words and the block graph to tables.  Pure.

What a table of a definition can't say stays as it is, with its device.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from qemu_cli.instance.capture.draft import Draft
from qemu_cli.instance.capture.drives import (
    Drive,
    Nodes,
    drives,
    family,
    units,
)
from qemu_cli.instance.capture.ground import Ground
from qemu_cli.instance.capture.image import Image, image
from qemu_cli.instance.capture.live import Block, Device
from qemu_cli.instance.capture.words import Option
from qemu_cli.instance.model import Cdrom, Disk, DiskBus

_BUSES: dict[str, DiskBus] = {
    "virtio-blk-pci": "virtio", "virtio-blk": "virtio", "ide-hd": "ide",
    "scsi-hd": "scsi", "nvme": "nvme", "usb-storage": "usb",
}  # fmt: skip
_CDS = frozenset({"ide-cd", "scsi-cd"})

#: What is in a definition's key, or can be said only once.
_OWN_KEYS = frozenset({"driver", "drive", "id", "write-cache"})
_PLACE_KEYS = frozenset(
    {"bus", "addr", "unit", "channel", "scsi-id", "lun", "port"}
)

#: Of a place that QEMU told.
_SCSI = ("channel", "scsi-id", "lun")


class Disks(NamedTuple):
    """The tables."""

    disks: tuple[Disk, ...]
    cdroms: tuple[Cdrom, ...]


class _Front(NamedTuple):
    """The guest's side of one disk or CD drive.

    :param options: all that make it, to be decided about together
    :param nodes: what says which image it is
    """

    driver: str
    id: str
    options: tuple[Option, ...]
    keys: Mapping[str, str]
    properties: Mapping[str, str]
    device: Device | None
    block: Block | None
    slot: str

    @property
    def is_cd(self) -> bool:
        return self.driver in _CDS


def disks(draft: Draft, ground: Ground, machine: str) -> Disks:
    """Take all disks and CD drives that a definition can say."""
    found = _fronts(draft, ground, machine)
    names = _Names(draft)
    made_disks: list[Disk] = []
    made_cds: list[Cdrom] = []
    for front in found:
        seen, problem = image(front.keys, front.block, ground)
        if draft.has("snapshot"):
            problem = "with -snapshot its image is not written to"
        if problem or (seen is None and not front.is_cd):
            for option in front.options:
                draft.why[option.number] = problem or "it has no image"
            continue
        if front.is_cd:
            if seen and seen.format != "raw":
                for option in front.options:
                    draft.why[option.number] = "a CD's image is raw"
                continue
            made_cds.append(_cdrom(names, front, seen))
        elif seen:
            made_disks.append(_disk(names, front, seen, machine))
            _compare(draft, ground, front, seen)
        draft.typed(*front.options)
    made_cds += _default_cd(draft, found, names, machine)
    if made_disks or made_cds:
        draft.differs(
            "names of drives and nodes",
            "QMP has them by the ids of disks and CD drives",
            ", ".join([d.id for d in made_disks] + [c.id for c in made_cds]),
        )
    return Disks(tuple(made_disks), tuple(made_cds))


def _fronts(draft: Draft, ground: Ground, machine: str) -> list[_Front]:
    known = drives(draft.options, machine)
    by_name = {drive.name: drive for drive in known}
    nodes = Nodes(draft.options)
    found = []
    for option in draft.left("device"):
        driver = option.get("driver")
        if driver not in _BUSES and driver not in _CDS:
            continue
        if front := _of_device(draft, ground, option, by_name, nodes):
            found.append(front)
    for drive in known:
        front = _of_drive(draft, ground, drive, machine)
        if front:
            found.append(front)
    return found


def _of_device(
    draft: Draft,
    ground: Ground,
    option: Option,
    by_name: Mapping[str, Drive],
    nodes: Nodes,
) -> _Front | None:
    pairs = dict(option.pairs)
    if any(re.search(r"\.\d", key) for key in pairs):
        return None  # a list
    device = ground.device(pairs.get("id", "")) or draft.nameless.get(
        option.number
    )
    if ground.live and device is None:
        return None  # unplugged
    name = pairs.get("drive", "")
    options = [option]
    keys: Mapping[str, str] = {}
    if drive := by_name.get(name):
        options.append(drive.option)
        keys = drive.keys
    elif name:
        options += nodes.chain(name)
        keys = nodes.keys(name)
    if name and not keys:
        return None
    slot = _slot(device)
    left_out = _OWN_KEYS | (_PLACE_KEYS if slot != "auto" else frozenset())
    properties = {k: v for k, v in pairs.items() if k not in left_out}
    through = pairs.get("write-cache") in ("off", "no", "false")
    return _Front(
        pairs["driver"],
        pairs.get("id", ""),
        tuple(options),
        {**keys, **({"cache.writeback": "off"} if through else {})},
        properties,
        device,
        ground.block_at(device) if device else None,
        slot,
    )


def _of_drive(
    draft: Draft, ground: Ground, drive: Drive, machine: str
) -> _Front | None:
    """A drive that QEMU makes a device for; None: not a known one."""
    if drive.interface not in ("ide", "virtio"):
        return None
    block = ground.block_of(drive.name)
    device = block.device if block else None
    device = device or draft.nameless.get(drive.option.number)
    properties = {
        key: drive.keys[key]
        for key in ("werror", "rerror")
        if key in drive.keys and not drive.is_cd
    }
    slot = _slot(device)
    if drive.interface == "virtio":
        driver = "virtio-blk-pci"
        if device and device.driver != driver:
            return None  # virtio-blk-device, virtio-blk-ccw …
    else:
        driver = "ide-cd" if drive.is_cd else "ide-hd"
        if slot == "auto":
            slot = f"ide.{drive.bus}:{drive.unit}"
    if drive.interface == "virtio" and drive.is_cd:
        return None
    if drive.interface == "ide" and family(machine) not in ("pc", "q35"):
        return None
    return _Front(
        driver,
        drive.keys.get("id", ""),
        (drive.option,),
        drive.keys,
        properties,
        device,
        block,
        slot,
    )


def _slot(device: Device | None) -> str:
    """The place that QEMU told, or ``auto``."""
    if device is None or not device.bus:
        return "auto"
    told = device.properties
    if device.pci:
        return f"{device.bus}:{device.pci}"
    if all(key in told for key in _SCSI):
        return ":".join([device.bus, *(str(told[key]) for key in _SCSI)])
    for key in ("unit", "port"):
        if key in told:
            return f"{device.bus}:{told[key]}"
    return "auto"


class _Names:
    """Ids that nothing else on the command line has."""

    def __init__(self, draft: Draft) -> None:
        self._options = draft.options
        self._used: set[str] = set()

    def make(self, front: _Front, kind: str) -> str:
        """Return its own id if it can be kept, else one of ours."""
        own = {option.number for option in front.options}
        taken = self._used | {
            option.get(key)
            for option in self._options
            if option.number not in own
            for key in ("id", "node-name")
        }
        number = 0
        name = front.id
        # Its file's node is called so, too, with five letters more.
        while name in taken or not re.fullmatch(
            r"[A-Za-z][A-Za-z0-9._-]{0,25}", name
        ):
            name = f"{kind}{number}"
            number += 1
        self._used.add(name)
        return name


def _disk(names: _Names, front: _Front, seen: Image, machine: str) -> Disk:
    bus = _BUSES[front.driver]
    if bus == "ide" and (
        family(machine) == "q35" or not re.match(r"ide\.\d", front.slot)
    ):
        bus = "sata"
    return Disk(
        id=names.make(front, "disk"),
        file=seen.file,
        format=seen.format,  # type: ignore[arg-type]
        bus=bus,
        slot=front.slot,
        cache=seen.cache,
        read_only=seen.read_only,
        throttle=seen.throttle,
        properties=dict(front.properties),
    )


def _cdrom(names: _Names, front: _Front, seen: Image | None) -> Cdrom:
    slot, properties = front.slot, dict(front.properties)
    return Cdrom(
        id=names.make(front, "cdrom"),
        slot=slot,
        file=seen.file if seen else None,
        properties=properties,
    )


def _default_cd(
    draft: Draft, found: Iterable[_Front], names: _Names, machine: str
) -> list[Cdrom]:
    """The empty CD drive that a PC has when nothing is said of one."""
    if draft.has("nodefaults") or family(machine) not in ("pc", "q35"):
        return []
    if any(
        option.get("driver") in (*_CDS, "ide-hd", "scsi-hd")
        for option in draft.options
        if option.name == "device"
    ):
        return []
    bus, unit = divmod(2, units(machine))
    slot = f"ide.{bus}:{unit}"
    if any(drive.interface == "ide" and (drive.bus, drive.unit) == (bus, unit)
           for drive in drives(draft.options, machine)):  # fmt: skip
        return []
    front = _Front("ide-cd", "", (), {}, {}, None, None, slot)
    return [_cdrom(names, front, None)]


def _compare(draft: Draft, ground: Ground, front: _Front, seen: Image) -> None:
    """Note where the new disk is not what the words of the old one say."""
    words = front.options[-1 if len(front.options) == 1 else 1].text
    named = front.keys.get("file.filename") or front.keys.get("file", "")
    if front.block and named and seen.file != ground.absolute(named):
        draft.differs(words, "it writes to another image by now", seen.file)
    if front.keys.get("aio"):
        draft.differs(words, "aio is left to QEMU")
    if front.keys.get("discard", "ignore") not in ("unmap", "on"):
        draft.differs(
            words,
            "what the guest discards is freed on the host",
            "discard=unmap",
        )
