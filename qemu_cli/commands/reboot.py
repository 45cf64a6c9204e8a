"""qemu reboot and reset."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli import settings
from qemu_cli.command import Result, VMCommand
from qemu_cli.units import parse_duration

if TYPE_CHECKING:
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.session import Session

_WORDS = {"agent": "its guest agent", "ctrl-alt-del": "Ctrl-Alt-Del"}


class Reboot(VMCommand):
    """Ask guests to reboot, and wait until they have reset the machine.

    First through the guest agent, then with Ctrl-Alt-Del.  A guest that
    does not react keeps running, and the exit code is 7.
    """

    examples = ("qemu reboot web", "qemu reboot --all --timeout 2m")
    needs = frozenset({"process"})

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--timeout",
            type=parse_duration,
            metavar="TIME",
            help="how long a guest may take (setting shutdown.timeout, 60s)",
        )
        return parser

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import reboot

        host, timeout_s = self.app.host_of(vm), args.timeout
        if timeout_s is None:
            timeout_s = host.config[settings.SHUTDOWN_TIMEOUT]
        done = await reboot.reboot(host, vm, timeout_s=timeout_s)
        seconds = round(done.seconds, 1)
        return Result(
            f"rebooting, asked by {_WORDS[done.by]}, after {seconds:g} s",
            {"by": done.by, "seconds": seconds},
        )


class Reset(VMCommand):
    """Press the reset button: the guest boots again, and is not asked."""

    examples = ("qemu reset web",)
    needs = frozenset({"process"})

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import reboot

        runs = await reboot.reset(self.app.host_of(vm), vm)
        if runs:
            return Result("reset", {"state": "running"})
        return Result("reset; it is still paused", {"state": "paused"})
