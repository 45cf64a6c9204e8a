"""The PC with PCI Express: the default on x86."""

from qemu_cli.instance.model import Definition
from qemu_cli.profiles.pci import PciProfile


class Q35(PciProfile):
    """PC (Q35 + ICH9): BIOS or UEFI, hot-plug, SATA CD drives."""

    name = "q35"
    arches = frozenset({"x86_64", "i386"})
    machine = "q35"
    firmwares = ("bios", "uefi")
    disk_buses = ("virtio", "scsi", "sata", "nvme", "usb")
    cdrom_bus = "sata"
    virtio_cdrom_bus = "scsi"
    console = "ttyS0"

    def machine_options(self, definition: Definition) -> list[str]:
        options = ["vmport=off", "dump-guest-core=off"]
        if definition.firmware.secure_boot:
            options.append("smm=on")
        return options

    def display(self) -> list[str]:
        return [
            "virtio-vga,id=screen0,bus=pcie.0,addr=0x01",
            "usb-tablet,id=tablet0,bus=usb0.0,port=15",
        ]

    def tpm(self) -> str:
        return "tpm-crb"
