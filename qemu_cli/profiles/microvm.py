"""The board that starts fastest and can do least."""

from collections.abc import Sequence

from qemu_cli.errors import UsageError
from qemu_cli.instance.model import Cdrom, Definition, Disk, Nic, Share
from qemu_cli.profiles.base import Profile

#: virtio-mmio transports of a microvm with its second I/O APIC.
_TRANSPORTS = 24
_OWN_DEVICES = 3  # serial, random numbers, balloon


class Microvm(Profile):
    """Minimal x86 board: virtio-mmio only, direct kernel boot, no hot-plug."""

    name = "microvm"
    arches = frozenset({"x86_64", "i386"})
    machine = "microvm"
    firmwares = ("bios",)
    disk_buses = ("virtio", "scsi")
    cdrom_bus = "scsi"
    hotplug = False
    console = "ttyS0"
    ram = "microvm.ram"

    def machine_options(self, definition: Definition) -> list[str]:
        return ["pcie=off", "rtc=on", "dump-guest-core=off"]

    def options(self, definition: Definition) -> list[str]:
        # A Linux guest here measures its TSC by the PIT alone; with KVM it
        # is told.  Under TCG a busy host spoils the measurement, and then
        # the guest hangs for ever, silently.  Counting instructions makes
        # both clocks one.
        tcg = definition.machine.accel == "tcg"
        return ["-icount", "shift=auto"] if tcg else []

    def slots(self, buses: Sequence[str]) -> list[str]:
        places = []
        scsi = 0
        for bus in buses:
            if bus == "scsi":
                places.append(f"scsi0:{scsi}")
                scsi += 1
            elif bus in ("virtio", "nic"):
                places.append("mmio")
            else:
                self.check_bus(bus)
        if len(places) > _TRANSPORTS - _OWN_DEVICES:
            raise UsageError("too many disks and NICs: the board has no room")
        return places

    def root_ports(self, slots: Sequence[str]) -> int:
        return 0

    def controllers(self, definition: Definition) -> list[str]:
        devices = [
            "virtio-serial-device,id=vserial0",
            "virtio-rng-device,rng=rng0,id=random0",
            "virtio-balloon-device,id=balloon0",
        ]
        places = [disk.slot for disk in definition.disks]
        places += [cdrom.slot for cdrom in definition.cdroms]
        if any(place.startswith("scsi0:") for place in places):
            devices.append("virtio-scsi-device,id=scsi0")
        return devices

    def disk(self, disk: Disk) -> str:
        if disk.bus == "scsi":
            unit = disk.slot.partition(":")[2]
            return f"scsi-hd,bus=scsi0.0,scsi-id={unit}"
        return "virtio-blk-device"

    def cdrom(self, cdrom: Cdrom) -> str:
        unit = cdrom.slot.partition(":")[2]
        return f"scsi-cd,bus=scsi0.0,scsi-id={unit}"

    def nic(self, nic: Nic) -> str:
        return "virtio-net-device"

    def share(self, share: Share) -> str:
        kind = "vhost-user-fs" if share.driver == "virtiofs" else "virtio-9p"
        return f"{kind}-device"

    def display(self) -> list[str]:
        raise UsageError("a microvm has no screen: use --display none")

    def tpm(self) -> str:
        raise UsageError("a microvm has no TPM")
