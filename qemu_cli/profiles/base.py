"""What a machine profile is.

A profile is a stevedore driver (group ``qemu_cli.profiles``), picked by
name.  It knows one family of boards: which architectures have it, where
its devices go, and what their front-ends are called.  It holds no state
and does nothing: all methods are pure.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from qemu_cli.errors import UsageError
from qemu_cli.instance.model import Cdrom, Definition, Disk, Nic, Share


class Profile(ABC):
    """One family of boards."""

    #: The name that ``--profile`` takes.
    name: str
    #: The architectures that have this board, as QEMU spells them.
    arches: frozenset[str]
    #: QEMU's unversioned name of the machine type, as in ``q35``.
    machine: str
    #: Kinds of firmware that it boots, the default first.
    firmwares: tuple[str, ...]
    #: Buses that a disk can be on, the default first.
    disk_buses: tuple[str, ...]
    #: The bus of CD drives; None when it has none.
    cdrom_bus: str | None
    #: That of CDs for a guest which is made for VMs: its kernel may have
    #: virtio's drivers alone, as Debian's for clouds.  None: the same.
    virtio_cdrom_bus: str | None = None
    #: Devices, memory and CPUs can be added while it runs.
    hotplug: bool
    #: The guest's name of the first serial port.
    console: str
    #: There is nothing on it but what the definition names: no devices of
    #: ours, no boot order, no serial numbers.
    bare = False
    #: What QEMU calls its RAM (MachineClass.default_ram_id): it is found
    #: by that name in a snapshot.
    ram = "pc.ram"

    def spare_ports(self) -> int:
        """Root ports that are left free for hot-plug."""
        return 8 if self.hotplug else 0

    def machine_options(self, definition: Definition) -> list[str]:
        """Options of ``-machine`` behind the type and the accelerator."""
        return []

    def options(self, definition: Definition) -> list[str]:
        """Options of QEMU that this board needs, beside ``-machine``."""
        return []

    @abstractmethod
    def slots(self, buses: Sequence[str]) -> list[str]:
        """Give each device its place, in this order, for ever.

        :param buses: for each device its bus; ``nic`` for a NIC
        :raise UsageError: when the board has no room, or no such bus
        """

    @abstractmethod
    def root_ports(self, slots: Sequence[str]) -> int:
        """How many root ports there are at birth, spare ones included."""

    @abstractmethod
    def controllers(self, definition: Definition) -> list[str]:
        """``-device`` values that come before all others."""

    @abstractmethod
    def disk(self, disk: Disk) -> str:
        """The front-end of a disk, without id and bootindex."""

    @abstractmethod
    def cdrom(self, cdrom: Cdrom) -> str:
        """The front-end of a CD drive, without id and bootindex."""

    @abstractmethod
    def nic(self, nic: Nic) -> str:
        """The front-end of a NIC, without id, netdev and mac."""

    @abstractmethod
    def display(self) -> list[str]:
        """``-device`` values of a screen, a keyboard and a pointer."""

    @abstractmethod
    def tpm(self) -> str:
        """The front-end of a TPM, without tpmdev."""

    def share(self, share: Share) -> str:
        """The front-end of a shared directory, without id, tag and source.

        :raise UsageError: it has none
        """
        raise UsageError(f"a {self.name} machine can't share directories")

    def place(self, slot: str) -> str:
        """The properties that put a device into a place; may be empty."""
        return ""

    def check_bus(self, bus: str) -> None:
        """Refuse a bus that the board does not have.

        :raise UsageError: it has not; the hint lists the ones it has
        """
        if bus not in self.disk_buses:
            raise UsageError(
                f"profile {self.name} has no {bus} bus for disks",
                hint=f"it has {', '.join(self.disk_buses)}",
            )
