"""qemu pause and resume."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qemu_cli.command import Result, VMCommand

if TYPE_CHECKING:
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.session import Session

_WORDS = {
    "prelaunch": "running for the first time",
    "suspended": "woken up",
    "io-error": "running: what failed on its disk has been done again",
}


class Pause(VMCommand):
    """Stop the CPUs of guests; their memory stays, clocks stand still."""

    examples = ("qemu pause web", "qemu pause --all --state running")
    needs = frozenset({"process"})

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import pause

        await pause.pause(self.app.host_of(vm), vm)
        return Result("paused", {"state": "paused"})


class Resume(VMCommand):
    """Let guests run that are paused, for whatever reason.

    A guest that was stopped because the host's disk was full repeats what
    failed.  One that has panicked or shut down needs 'qemu reset'.
    """

    examples = ("qemu resume web", "qemu resume --all --state paused")
    needs = frozenset({"process"})

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "-y",
            "--yes",
            action="store_true",
            help="do not ask about guests that have been migrated away",
        )
        return parser

    def select(self, args: argparse.Namespace) -> "Sequence[VM]":
        vms = super().select(args)
        for vm in vms:
            if vm.run_state == "postmigrate":
                self.app.ui.confirm(
                    f"'{vm.name}' has been migrated; resume it here, where "
                    "it must be the only one on its disks",
                    args.yes,
                )
        return vms

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import pause

        was = await pause.resume(self.app.host_of(vm), vm)
        return Result(
            _WORDS.get(was, "running"), {"state": "running", "was": was}
        )
