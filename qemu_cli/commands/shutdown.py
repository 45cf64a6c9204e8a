"""qemu shutdown, quit and kill: three ways to end a VM."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli import settings
from qemu_cli.command import Result, VMCommand
from qemu_cli.units import parse_duration

if TYPE_CHECKING:
    from qemu_cli.instance.shutdown import Ended
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.session import Session

_WORDS = {
    "agent": "shut down by its guest agent",
    "acpi": "shut down by the power button",
    "itself": "shut down by itself",
    "quit": "QEMU quit",
    "kill": "QEMU was killed",
}


class Shutdown(VMCommand):
    """Ask guests to shut down, and wait until they have.

    First through the guest agent, then with the power button (ACPI), again
    and again while the guest boots.  A guest that does not react keeps
    running, and the exit code is 7; with --force its QEMU is ended then.
    """

    examples = (
        "qemu shutdown web",
        "qemu shutdown --all --timeout 2m",
        "qemu shutdown web --force --timeout 10s",
    )
    needs = frozenset({"process"})

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--timeout",
            type=parse_duration,
            metavar="TIME",
            help="how long a guest may take (setting shutdown.timeout, 60s)",
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="end QEMU when the guest has not reacted in time",
        )
        return parser

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import shutdown

        host, timeout_s = self.app.host_of(vm), args.timeout
        if timeout_s is None:
            timeout_s = host.config[settings.SHUTDOWN_TIMEOUT]
        ended = await shutdown.shutdown(
            host, vm, timeout_s=timeout_s, force=args.force
        )
        return _result(ended)


class Quit(VMCommand):
    """End QEMU at once; the guest is not asked, its disks are flushed."""

    examples = ("qemu quit web",)
    needs = frozenset({"process"})

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import shutdown

        return _result(await shutdown.quit_(self.app.host_of(vm), vm))


class Kill(VMCommand):
    """Kill QEMU (SIGKILL): a power cut for the guest."""

    examples = ("qemu kill web",)
    needs = frozenset({"process"})

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import shutdown

        return _result(await shutdown.kill(self.app.host_of(vm), vm))


def _result(ended: "Ended") -> Result:
    seconds = round(ended.seconds, 1)
    return Result(
        f"{_WORDS[ended.by]} after {seconds:g} s",
        {"by": ended.by, "seconds": seconds},
    )
