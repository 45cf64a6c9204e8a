"""What a step is, and the hands that it does things with.

The steps themselves are in :mod:`qemu_cli.steps`, with their runner.
"""

import abc
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from qemu_cli.steps import Spawn
    from qemu_cli.steps.job import Job, OrderJob


class Hands(Protocol):
    """What steps need from the layers above them."""

    async def runs(self) -> bool:
        """Tell whether there is a QEMU process."""

    async def execute(self, command: str, arguments: dict[str, Any]) -> Any:
        """Send one QMP command on the VM's control monitor."""

    async def unplug(self, device: str, timeout_s: float) -> None:
        """Ask the guest to let go of a device, and wait until it has."""

    async def tell(
        self, address: str, pid: int, command: str, arguments: dict[str, Any]
    ) -> Any:
        """Send one QMP command to a daemon that serves images."""

    async def quit(self) -> None:
        """End QEMU, if it runs, and wait until it has."""

    async def kill(self) -> None:
        """End QEMU at once, if it runs (SIGKILL)."""

    async def save_ram(self, file: str) -> None:
        """Write the state of a paused VM to a file."""

    async def drop_ram(self, file: str) -> None:
        """Stop writing it, and remove the file."""

    async def load_ram(self, file: str) -> None:
        """Have a QEMU that waits for a state read it from a file."""

    async def start_job(self, step: "Job") -> None:
        """Start a job, if there is none of its id."""

    async def run_job(self, step: "Job") -> None:
        """Start a job and wait until it is where the step wants it."""

    async def order_job(self, step: "OrderJob") -> None:
        """Give a job an order, and wait in the same way."""

    async def cancel_job(self, job_id: str) -> None:
        """Cancel and dismiss a job, if there is one of this id."""

    async def job_goes_on(self, step: "Job") -> bool:
        """Tell whether a job is not yet where the step wants it."""

    async def spawn(self, step: "Spawn") -> None:
        """Start QEMU and wait until its monitor is ready."""

    async def unspawn(self, step: "Spawn") -> None:
        """End what :meth:`spawn` started, if it runs."""

    async def came_up(self, step: "Spawn") -> bool:
        """Tell whether a QEMU that a killed program started is ready."""


class Step(msgspec.Struct, frozen=True, tag=True):
    """One thing that is done to the world."""

    @abc.abstractmethod
    def describe(self) -> str:
        """Say what would be done, as a shell command if it is one."""

    @abc.abstractmethod
    async def do(self, hands: Hands) -> None:
        """Do it.  Doing it again must be harmless."""

    async def undo(self, hands: Hands) -> None:
        """Take it back.  Harmless when it was never done."""

    async def is_done(self, hands: Hands) -> bool:
        """Tell whether it is seen to be done, though nobody noted it.

        Asked of the last step before the point of no return: a QEMU that
        has come up is not ended because the program that started it was
        killed a moment later, nor is an overlay dropped that the guest
        writes to.
        """
        return False
