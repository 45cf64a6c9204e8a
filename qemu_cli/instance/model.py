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

On a board without devices of our own (profile ``bare``) a place is QEMU's
name of the bus, and what the bus takes:

========================  ==============================================
``pci.0:05.1``            PCI: device number and function (hex)
``ide.0:1``               IDE, and SATA: the unit, on SATA always 0
``scsi0.0:0:2:0``         SCSI: channel, id, LUN
``usb-bus.0:1``           USB: the port
``auto``                  wherever QEMU puts it
========================  ==============================================
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

FORMAT = 1

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

#: What ``-device`` takes; its options are separate.
Driver = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

DiskBus = Literal["virtio", "scsi", "sata", "nvme", "usb", "ide"]
Cache = Literal["writeback", "none", "writethrough", "directsync", "unsafe"]
ImageFormat = Literal["qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc", "qed"]
#: What is said to a device in addition (``-device NAME,help``).
Properties = dict[
    Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9._-]*$")], str
]
ShareDriver = Literal["virtiofs", "9p"]

#: QEMU takes 31 bytes for 9p (hw/9pfs), and 36 for virtio-fs.
TAG_MAX = 31

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
    properties: Properties = {}


class Cdrom(Part, frozen=True, kw_only=True):
    """A CD drive; without ``file`` it is empty."""

    id: Id
    slot: str
    file: str | None = None
    properties: Properties = {}


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
    properties: Properties = {}


class Device(Part, frozen=True, kw_only=True):
    """Any other device: ``driver`` and ``options`` are QEMU's words.

    Its id and its place are not among its options.
    """

    id: Id
    driver: Driver
    slot: str
    options: dict[str, bool | int | str] = {}


class Cpu(Part, frozen=True, kw_only=True):
    """A CPU that was plugged in beside those of ``machine.cpus``.

    How many queues a disk has goes by those of the start: it would be
    another machine if they were counted together.

    :param driver: QEMU's word for the model
    :param place: its socket, core and so on, as QEMU counts them
    """

    id: Id
    driver: Driver
    place: dict[str, int]


class Dimm(Part, frozen=True, kw_only=True):
    """Memory that was plugged in beside that of ``machine.memory_mib``.

    :param slot: a number; the one that was plugged in last has the highest
    """

    id: Id
    size_mib: Annotated[int, msgspec.Meta(ge=1, le=1 << 30)]
    slot: Annotated[int, msgspec.Meta(ge=0, le=255)]


class Share(Part, frozen=True, kw_only=True):
    """A directory of this host that the guest can mount by its tag.

    :param directory: absolute
    :param driver: virtio-fs, of a virtiofsd beside QEMU, or 9p, of QEMU
    """

    id: Id
    tag: Annotated[
        str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]+$", max_length=TAG_MAX)
    ]
    directory: Annotated[str, msgspec.Meta(pattern=r"^/")]
    driver: ShareDriver
    slot: str
    read_only: bool = False


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
    devices: tuple[Device, ...] = ()
    cpus: tuple[Cpu, ...] = ()
    dimms: tuple[Dimm, ...] = ()
    shares: tuple[Share, ...] = ()
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
    def placed(self) -> "tuple[Disk | Cdrom | Nic | Device | Share, ...]":
        """All that has an id and a place."""
        disks = self.disks + self.cdroms
        return disks + self.nics + self.devices + self.shares

    @property
    def shares_memory(self) -> bool:
        """Whether a program beside QEMU maps the guest's memory."""
        return any(share.driver == "virtiofs" for share in self.shares)

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all that is plugged into the machine."""
        plugged = (*self.placed, *self.cpus, *self.dimms)
        return frozenset(each.id for each in plugged)

    @property
    def cpu_count(self) -> int:
        """All CPUs that the next start has."""
        return self.machine.cpus + len(self.cpus)

    @property
    def memory_mib(self) -> int:
        """All memory that the next start has, DIMMs included."""
        plugged = sum(dimm.size_mib for dimm in self.dimms)
        return self.machine.memory_mib + plugged

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
