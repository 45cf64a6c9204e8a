"""A board of any kind with nothing on it but what the definition names.

For machines that were not made by us: 'qemu capture' writes definitions
for it.  Controllers, screens and all else that a definition has no table
for are in its ``qemu_args``, which here come before disks and NICs.
"""

from collections.abc import Sequence

from qemu_cli.errors import UsageError
from qemu_cli.instance.model import Cdrom, Definition, Disk, Nic
from qemu_cli.profiles.base import Profile

_ARCHES = """
aarch64 alpha arm avr hppa i386 loongarch64 m68k mips mips64 mips64el mipsel
or1k ppc ppc64 riscv32 riscv64 rx s390x sh4 sparc sparc64 tricore x86_64
xtensa
"""


class Bare(Profile):
    """Any board, with what the definition names alone; as captured."""

    name = "bare"
    arches = frozenset(_ARCHES.split())
    machine = "none"
    firmwares = ("bios", "uefi")
    disk_buses = ("virtio", "scsi", "sata", "nvme", "usb", "ide")
    cdrom_bus = "ide"
    hotplug = False
    console = "ttyS0"
    bare = True

    def slots(self, buses: Sequence[str]) -> list[str]:
        if buses:
            raise UsageError(
                "a bare machine has no places of its own for disks and NICs",
                hint="'qemu edit' can add one, with its slot, such as "
                "pci.0:05; 'qemu create' without one needs --nic none",
            )
        return []

    def root_ports(self, slots: Sequence[str]) -> int:
        return 0

    def controllers(self, definition: Definition) -> list[str]:
        return []

    def disk(self, disk: Disk) -> str:
        match disk.bus:
            case "virtio":
                return f"virtio-blk-pci{_pci(disk.slot)}"
            case "nvme":
                return f"nvme{_pci(disk.slot)}"
            case "scsi":
                return f"scsi-hd{_scsi(disk.slot)}"
            case "sata" | "ide":
                return f"ide-hd{_place(disk.slot, 'unit')}"
            case "usb":
                return f"usb-storage{_place(disk.slot, 'port')}"

    def cdrom(self, cdrom: Cdrom) -> str:
        if cdrom.slot.count(":") > 1:
            return f"scsi-cd{_scsi(cdrom.slot)}"
        return f"ide-cd{_place(cdrom.slot, 'unit')}"

    def nic(self, nic: Nic) -> str:
        return f"virtio-net-pci{_pci(nic.slot)}"

    def display(self) -> list[str]:
        return []

    def tpm(self) -> str:
        raise UsageError("a bare machine has no TPM of ours")


def _place(slot: str, key: str) -> str:
    """Say where it is: ``,bus=…`` and, if there is more, ``,KEY=…``."""
    if slot == "auto":
        return ""
    bus, _, unit = slot.partition(":")
    return f",bus={bus},{key}={unit}" if unit else f",bus={bus}"


def _pci(slot: str) -> str:
    bus, colon, address = slot.partition(":")
    if slot == "auto":
        return ""
    if not colon:
        return f",bus={bus}"
    number, dot, function = address.partition(".")
    return f",bus={bus},addr=0x{number}" + (f".0x{function}" if dot else "")


def _scsi(slot: str) -> str:
    words = slot.split(":")
    if slot == "auto":
        return ""
    if len(words) != 4:
        return f",bus={words[0]}"
    bus, channel, target, lun = words
    return f",bus={bus},channel={channel},scsi-id={target},lun={lun}"
