"""What is known of a process beside its command line."""

from collections.abc import Callable
from typing import NamedTuple

from qemu_cli.instance.capture.live import Block, Device, Live


class Ground(NamedTuple):
    """What the words of a command line mean where they were said.

    :param arch: the guest's architecture
    :param absolute: from a path of that process to one of ours
    :param searched: the same for what QEMU looks for elsewhere, too, when
        it is not there
    :param resolve: from a machine type to its versioned name; None: this
        host's QEMU has none
    :param live: what its monitor told; None: it could not be asked
    """

    arch: str
    absolute: Callable[[str], str]
    searched: Callable[[str], str]
    resolve: Callable[[str], str | None]
    live: Live | None = None

    def device(self, id: str) -> Device | None:
        """The device that has this id."""
        for each in self.live.devices if self.live else ():
            if each.id == id and id:
                return each
        return None

    def block_of(self, drive: str) -> Block | None:
        """The medium that is called so: of ``-drive``."""
        for each in self.live.blocks if self.live else ():
            if each.name == drive and drive:
                return each
        return None

    def block_at(self, device: Device) -> Block | None:
        """The medium that a device has."""
        for each in self.live.blocks if self.live else ():
            if each.device and each.device.path == device.path:
                return each
        return None
