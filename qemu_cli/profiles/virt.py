"""The board without a real-world model: the default on ARM."""

from qemu_cli.instance.model import Definition
from qemu_cli.profiles.pci import PciProfile


class Virt(PciProfile):
    """ARM virtual board: UEFI or direct kernel boot, hot-plug."""

    name = "virt"
    arches = frozenset({"aarch64"})
    machine = "virt"
    firmwares = ("uefi", "bios")
    disk_buses = ("virtio", "scsi", "nvme", "usb")
    cdrom_bus = "scsi"
    console = "ttyAMA0"
    ram = "mach-virt.ram"

    def machine_options(self, definition: Definition) -> list[str]:
        # Under TCG the default GIC would be version 2: 8 CPUs at most.
        gic = "3" if definition.machine.accel == "tcg" else "host"
        return [f"gic-version={gic}", "dump-guest-core=off"]

    def display(self) -> list[str]:
        return [
            "virtio-gpu-pci,id=screen0,bus=pcie.0,addr=0x01",
            "usb-kbd,id=keyboard0,bus=usb0.0,port=14",
            "usb-tablet,id=tablet0,bus=usb0.0,port=15",
        ]

    def tpm(self) -> str:
        return "tpm-tis-device"
