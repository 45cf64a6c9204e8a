"""The definition of a VM: what ``instance.toml`` says, typed.

Everything that RAM snapshots, migration and hot-plug need to be the same
again is pinned here when the VM is created: the versioned machine type,
the resolved accelerator and CPU model, the uuid, MACs, and for each device
its id and its place.  The name is not in here: it is the directory's.

A place (``slot``) is where the device sits on the guest's side:

========================  ==============================================
``rp3``                   alone behind PCIe root port rp3
``pcie.0:05``             on the root complex, device number 5 (hex)
``scsi0:2``               SCSI id 2 on the virtio-scsi controller
``sata:1``                SATA port 1
``usb:1``                 USB port 1
``mmio``                  the next virtio-mmio transport (microvm)
========================  ==============================================
"""

import datetime
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    get_args,
    get_type_hints,
)

import msgspec

from qemu_cli import suggest
from qemu_cli.errors import DefinitionError

FORMAT = 1
_TIMES = (datetime.datetime, datetime.date, datetime.time)

Id = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9._-]*$", max_length=31)
]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Mac = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")]
Uuid = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
]
Count = Annotated[int, msgspec.Meta(ge=1, le=4096)]

#: QEMU's own maximum (THROTTLE_VALUE_MAX).
Limit = Annotated[int, msgspec.Meta(ge=0, le=10**15)]

#: What the user network stack can listen on: numeric, and version 4.
HostAddress = Annotated[str, msgspec.Meta(pattern=r"^\d{1,3}(\.\d{1,3}){3}$")]
Bridge = Annotated[str, msgspec.Meta(pattern=r"^[^\s,/:]{1,15}$")]

DiskBus = Literal["virtio", "scsi", "sata", "nvme", "usb"]
Cache = Literal["writeback", "none", "writethrough", "directsync", "unsafe"]
ImageFormat = Literal["qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc", "qed"]
DisplayKind = Literal["none", "vnc", "gtk", "sdl", "spice-app", "curses"]


#: The file of the UEFI variables, until there is an overlay on it.  It is
#: qcow2, so that snapshots take it.
NVRAM = "nvram.qcow2"
NVRAM_ID = "nvram"


class Part(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """A table of the definition; an unknown key in it is an error."""


class Machine(Part, frozen=True, kw_only=True):
    """The board: what must not change below a saved state."""

    type: str
    accel: Literal["auto", "kvm", "tcg"]
    cpu: str
    cpus: Count
    max_cpus: Count
    memory_mib: Annotated[int, msgspec.Meta(ge=1, le=1 << 30)]
    max_memory_mib: Annotated[int, msgspec.Meta(ge=0, le=1 << 30)] = 0
    memory_slots: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    root_ports: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0


class Firmware(Part, frozen=True, kw_only=True):
    """What runs first.  For UEFI: the code's and the variables' files.

    ``vars`` is relative to the instance's directory, and qcow2.
    """

    kind: Literal["bios", "uefi"] = "bios"
    code: str | None = None
    code_format: Literal["raw", "qcow2"] = "raw"
    vars: str = NVRAM
    secure_boot: bool = False


class Kernel(Part, frozen=True, kw_only=True):
    """A kernel that QEMU itself loads, past any boot loader."""

    kernel: str
    initrd: str | None = None
    append: str | None = None


class Throttle(Part, frozen=True, kw_only=True):
    """What a disk may read and write in a second; 0: no limit.

    ``bps`` are bytes, ``iops`` are requests; a total goes with no limit
    for reading or writing alone (QAPI BlockIOThrottle).
    """

    bps: Limit = 0
    bps_read: Limit = 0
    bps_write: Limit = 0
    iops: Limit = 0
    iops_read: Limit = 0
    iops_write: Limit = 0

    @property
    def limits(self) -> dict[str, int]:
        """The same as QEMU names them."""
        return {
            "bps": self.bps,
            "bps_rd": self.bps_read,
            "bps_wr": self.bps_write,
            "iops": self.iops,
            "iops_rd": self.iops_read,
            "iops_wr": self.iops_write,
        }

    @property
    def mixed(self) -> list[str]:
        """Kinds of limits that contradict each other (QEMU refuses them)."""
        limits = self.limits
        return [
            kind
            for kind in ("bps", "iops")
            if limits[kind] and (limits[f"{kind}_rd"] or limits[f"{kind}_wr"])
        ]


class Disk(Part, frozen=True, kw_only=True):
    """A disk.  ``file`` is relative to the instance's directory."""

    id: Id
    file: str
    format: ImageFormat
    bus: DiskBus
    slot: str
    cache: Cache = "writeback"
    read_only: bool = False
    throttle: Throttle | None = None


class Cdrom(Part, frozen=True, kw_only=True):
    """A CD drive; without ``file`` it is empty."""

    id: Id
    slot: str
    file: str | None = None


class Forward(Part, frozen=True, kw_only=True):
    """A port of the host that leads to a port of the guest."""

    host_port: Port
    guest_port: Port
    host_address: HostAddress = "127.0.0.1"
    protocol: Literal["tcp", "udp"] = "tcp"


class Nic(Part, frozen=True, kw_only=True):
    """A network card and what it is plugged into."""

    id: Id
    slot: str
    mac: Mac
    backend: Literal["user", "bridge"] = "user"
    bridge: Bridge | None = None
    forwards: tuple[Forward, ...] = ()


class Image(NamedTuple):
    """An image that a guest's machine stands on.

    :param id: of its disk; that of the UEFI variables is ``nvram``
    :param file: relative to the instance's directory
    """

    id: str
    file: str
    format: str
    read_only: bool


class Definition(Part, frozen=True, kw_only=True):
    """One VM, as it is started."""

    format: Annotated[int, msgspec.Meta(ge=1)] = FORMAT
    uuid: Uuid
    created: str
    profile: str
    arch: str
    machine: Machine
    firmware: Firmware = Firmware()
    boot: Kernel | None = None
    disks: tuple[Disk, ...] = ()
    cdroms: tuple[Cdrom, ...] = ()
    nics: tuple[Nic, ...] = ()
    display: DisplayKind = "none"
    tpm: bool = False
    qemu_args: tuple[str, ...] = ()
    plugin: dict[str, dict[str, Any]] = {}
    config: dict[str, Any] = {}

    @property
    def images(self) -> tuple["Image", ...]:
        """All images that the guest's machine stands on; no CDs."""
        found = [
            Image(disk.id, disk.file, disk.format, disk.read_only)
            for disk in self.disks
        ]
        if self.firmware.kind == "uefi":
            vars_ = self.firmware.vars
            found.append(Image(NVRAM_ID, vars_, "qcow2", False))
        return tuple(found)

    def with_files(self, files: Mapping[str, str]) -> "Definition":
        """Return the same on other images, all of them qcow2.

        :param files: new files of :attr:`images`, by their ids
        """
        firmware = self.firmware
        if NVRAM_ID in files:
            firmware = msgspec.structs.replace(firmware, vars=files[NVRAM_ID])
        disks = tuple(
            msgspec.structs.replace(disk, file=files[disk.id], format="qcow2")
            if disk.id in files
            else disk
            for disk in self.disks
        )
        return msgspec.structs.replace(self, disks=disks, firmware=firmware)

    @property
    def devices(self) -> tuple["Disk | Cdrom | Nic", ...]:
        """All that has an id and a place."""
        return self.disks + self.cdroms + self.nics

    @property
    def files(self) -> dict[str, str]:
        """The files that it names, by what they are.

        A relative one is meant relative to the instance's directory.
        """
        boot = self.boot
        named = {
            **{image.id: image.file for image in self.images},
            **{cdrom.id: cdrom.file for cdrom in self.cdroms},
            "kernel": boot and boot.kernel,
            "initrd": boot and boot.initrd,
            "firmware": self.firmware.code,
        }
        return {what: file for what, file in named.items() if file}

    @property
    def forwards(self) -> tuple[Forward, ...]:
        """All forwards of all NICs."""
        return tuple(f for nic in self.nics for f in nic.forwards)


def load(path: Path) -> Definition:
    """Read and check a definition.

    :raise DefinitionError: it is missing, not TOML, of a newer format, or
        says something that can't be; the message names file and key
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DefinitionError(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(f"{path} can't be read: {error}") from error
    return parse(text, source=str(path))


def parse(text: str, *, source: str) -> Definition:
    """Turn the text of an ``instance.toml`` into a checked definition.

    :param source: what to call it in errors
    :raise DefinitionError: see :func:`load`
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(
            f"{source} is not valid TOML: {error}",
            hint="'qemu edit' opens it, and checks it before it is saved",
        ) from error
    definition = convert(raw, source=source)
    for problem in inconsistencies(definition):
        raise DefinitionError(f"{source}: {problem}")
    return definition


def convert(
    raw: dict[str, Any], *, source: str, strict: bool = True
) -> Definition:
    """Turn what TOML gives into a typed definition.

    :param strict: text is not taken for a number, nor for a truth value
    :raise DefinitionError: see :func:`load`
    """
    found = raw.get("format")
    if isinstance(found, int) and found > FORMAT:
        raise DefinitionError(
            f"{source} has format {found}, this program knows {FORMAT}",
            hint="it was written by a newer version; use that one",
        )
    try:
        return msgspec.convert(raw, Definition, strict=strict)
    except msgspec.ValidationError as error:
        raise DefinitionError(f"{source}: {_explain(str(error))}") from error


def render(definition: Definition) -> str:
    """Write a definition as TOML, in the order of its fields."""
    import tomlkit

    # TOML has types for times, and a plug-in may use them.
    plain = msgspec.to_builtins(definition, builtin_types=_TIMES)
    plain["format"] = FORMAT
    document = tomlkit.document()
    document.add(tomlkit.comment("A virtual machine of qemu(1)."))
    document.add(tomlkit.comment("Change it with 'qemu edit' or 'qemu set'."))
    ordered = {"format": plain.pop("format"), **plain}
    simple = {k: v for k, v in ordered.items() if not _is_table(v)}
    tables = {k: v for k, v in ordered.items() if _is_table(v)}
    for key, value in (simple | tables).items():
        document.add(key, tomlkit.item(value))
    return tomlkit.dumps(document)


def _is_table(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and isinstance(value[0], dict)
    return isinstance(value, dict)


def inconsistencies(definition: Definition) -> list[str]:
    """Name what is well-typed but can't be: doubled ids, places, ports."""
    problems = []
    devices = definition.devices
    for what, values in (
        ("id", [device.id for device in devices]),
        ("slot", [d.slot for d in devices if d.slot != "mmio"]),
        ("MAC", [nic.mac for nic in definition.nics]),
    ):
        problems += [
            f"the {what} '{value}' is used twice" for value in _twice(values)
        ]
    ports = [(f.protocol, f.host_port) for f in definition.forwards]
    problems += [
        f"the host port {port}/{protocol} is forwarded twice"
        for protocol, port in _twice(ports)
    ]
    machine = definition.machine
    if machine.max_cpus < machine.cpus:
        problems.append("machine.max_cpus is less than machine.cpus")
    if machine.max_memory_mib and machine.max_memory_mib < machine.memory_mib:
        problems.append("machine.max_memory_mib is less than memory_mib")
    if definition.firmware.kind == "uefi" and not definition.firmware.code:
        problems.append("firmware.code is missing: UEFI needs its code file")
    problems += [
        f"the disk {disk.id} is limited as a whole, and for reading or "
        f"writing alone, too: {kind}"
        for disk in definition.disks
        for kind in (disk.throttle.mixed if disk.throttle else ())
    ]
    problems += [
        f"the NIC {nic.id} has backend bridge but names no bridge"
        for nic in definition.nics
        if nic.backend == "bridge" and not nic.bridge
    ]
    return problems


def _twice(values: list[Any]) -> list[Any]:
    return sorted({value for value in values if values.count(value) > 1})


def _explain(message: str) -> str:
    """Turn msgspec's words into ours, with the nearest known key."""
    place = ""
    if match := re.search(r" - at `\$\.?(.*)`$", message):
        place = match[1]
        message = message[: match.start()]
    if match := re.search(r"contains unknown field `(.+)`", message):
        key = match[1]
        known = known_keys(place)
        near = suggest.nearest(key, known)
        where = f" in [{place}]" if place else ""
        nearest = f"; did you mean '{near[0]}'?" if near else ""
        return f"unknown key '{key}'{where}{nearest}"
    if match := re.search(r"missing required field `(.+)`", message):
        return f"'{'.'.join(filter(None, (place, match[1])))}' is missing"
    if not place:
        return message
    if choices := _choices(place):
        return f"'{place}' is none of {', '.join(choices)}"
    return f"'{place}': {message[0].lower()}{message[1:]}"


def _choices(place: str) -> list[str]:
    """The words that a key can have, if there are only some."""
    table, _, key = place.rpartition(".")
    part = _part(table)
    kind = get_type_hints(part).get(key) if part else None
    return [each for each in get_args(kind) if isinstance(each, str)]


def known_keys(place: str) -> list[str]:
    """Return the keys of a table, as in ``machine`` or ``nics[0]``."""
    part = _part(place)
    return list(part.__struct_fields__) if part else []


def _part(place: str) -> type[Part] | None:
    tables: dict[str, type[Part]] = {
        "": Definition,
        "machine": Machine,
        "firmware": Firmware,
        "boot": Kernel,
        "disks": Disk,
        "disks.throttle": Throttle,
        "cdroms": Cdrom,
        "nics": Nic,
        "nics.forwards": Forward,
    }
    return tables.get(re.sub(r"\[[^]]*\]", "", place))
