"""What boards with PCI Express have in common.

Disks and NICs sit alone behind root ports, so that they can be unplugged;
what stays for life is on the root complex at a fixed device number:

====  =======================================================
01    screen
02    virtio-serial: the guest agent's port
03    random numbers
04    balloon
05    virtio-scsi
06    USB
07    panic notifier
08–   root ports, eight functions a number
====  =======================================================
"""

from collections.abc import Sequence

from qemu_cli.errors import UsageError
from qemu_cli.instance.model import Cdrom, Definition, Disk, Nic, Share
from qemu_cli.profiles.base import Profile

_FIRST_PORT_NUMBER = 0x08
_PORTS_PER_NUMBER = 8
_PORTS_MAX = 64
_SATA_PORTS = 6
_USB_DISKS = 8  # ports 1 to 8; keyboard and tablet are on the last two


class PciProfile(Profile):
    """A board with a PCI Express root complex called ``pcie.0``."""

    hotplug = True

    def slots(self, buses: Sequence[str]) -> list[str]:
        counts: dict[str, int] = {}
        places = []
        for bus in buses:
            kind = "rp" if bus in ("virtio", "nvme", "nic") else bus
            number = counts.get(kind, 0)
            counts[kind] = number + 1
            if kind == "rp":
                places.append(f"rp{number}")
            elif kind == "scsi":
                places.append(f"scsi0:{number}")
            elif kind == "sata":
                places.append(f"sata:{number}")
            else:
                places.append(f"usb:{number + 1}")
        if counts.get("rp", 0) > _PORTS_MAX - self.spare_ports():
            raise UsageError("too many disks and NICs: the board has no room")
        if counts.get("sata", 0) > _SATA_PORTS:
            raise UsageError(f"there are only {_SATA_PORTS} SATA ports")
        if counts.get("usb", 0) > _USB_DISKS:
            raise UsageError(f"there can be only {_USB_DISKS} USB devices")
        return places

    def root_ports(self, slots: Sequence[str]) -> int:
        used = sum(slot.startswith("rp") for slot in slots)
        return used + self.spare_ports()

    def controllers(self, definition: Definition) -> list[str]:
        devices = [
            "virtio-serial-pci,id=vserial0,bus=pcie.0,addr=0x02",
            "virtio-rng-pci,rng=rng0,id=random0,bus=pcie.0,addr=0x03",
            "virtio-balloon-pci,id=balloon0,bus=pcie.0,addr=0x04",
            "pvpanic-pci,id=panic0,bus=pcie.0,addr=0x07",
        ]
        places = [disk.slot for disk in definition.disks]
        places += [cdrom.slot for cdrom in definition.cdroms]
        places += [device.slot for device in definition.devices]
        if any(place.startswith("scsi0:") for place in places):
            devices.append("virtio-scsi-pci,id=scsi0,bus=pcie.0,addr=0x05")
        screen = definition.display != "none"
        plugged = any(device.id == "usb0" for device in definition.devices)
        if not plugged and (
            screen or any(place.startswith("usb:") for place in places)
        ):
            # By default there are four ports.
            devices.append(
                "qemu-xhci,id=usb0,bus=pcie.0,addr=0x06,p2=15,p3=15"
            )
        for port in range(definition.machine.root_ports):
            number, function = divmod(port, _PORTS_PER_NUMBER)
            # PCI Express devices need no I/O space; without io-reserve=0
            # each port takes 4 KiB of the 64 KiB that there are.
            devices.append(
                f"pcie-root-port,id=rp{port},bus=pcie.0,"
                f"addr=0x{_FIRST_PORT_NUMBER + number:02x}.0x{function},"
                f"multifunction=on,chassis={port + 1},slot={port + 1},"
                "io-reserve=0"
            )
        return devices

    def place(self, slot: str) -> str:
        bus, _, unit = slot.partition(":")
        if bus == "usb":
            return f"bus=usb0.0,port={unit}"
        if bus == "pcie.0":
            return f"bus=pcie.0,addr=0x{unit}"
        return f"bus={bus},addr=0x0"

    def disk(self, disk: Disk) -> str:
        bus, _, unit = disk.slot.partition(":")
        match disk.bus:
            case "virtio":
                return f"virtio-blk-pci,bus={bus},addr=0x0"
            case "nvme":
                return f"nvme,bus={bus},addr=0x0"
            case "scsi":
                return f"scsi-hd,bus=scsi0.0,scsi-id={unit}"
            case "sata":
                return f"ide-hd,bus=ide.{unit}"
            case "ide":
                raise UsageError(f"profile {self.name} has no ide bus")
            case "usb":
                return f"usb-storage,bus=usb0.0,port={unit}"

    def cdrom(self, cdrom: Cdrom) -> str:
        bus, _, unit = cdrom.slot.partition(":")
        if bus == "scsi0":
            return f"scsi-cd,bus=scsi0.0,scsi-id={unit}"
        return f"ide-cd,bus=ide.{unit}"

    def share(self, share: Share) -> str:
        kind = "vhost-user-fs" if share.driver == "virtiofs" else "virtio-9p"
        return f"{kind}-pci,bus={share.slot},addr=0x0"

    def nic(self, nic: Nic) -> str:
        # No option ROM: nobody boots from this card, and the firmware is
        # quicker without it.
        return f"virtio-net-pci,bus={nic.slot},addr=0x0,romfile="
