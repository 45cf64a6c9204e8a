"""qemu doctor."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli.command.checks import Checker
from qemu_cli.errors import QemuCliError

if TYPE_CHECKING:
    from qemu_cli.instance.doctor import Check


class Doctor(Checker):
    """Check the host and the VMs, and say how to mend what is wrong.

    Takes some seconds: KVM is not believed before a guest has run with
    it.  The exit code is 1 when a check fails; a warning is none.
    """

    examples = (
        "qemu doctor",
        "qemu doctor --report > report.md  # to paste into an issue",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--report",
            action="store_true",
            help="write versions, facts of the host and all checks, without "
            "names of users and hosts",
        )
        return parser

    def show(self, args: argparse.Namespace, checks: "list[Check]") -> None:
        if args.report:
            from qemu_cli.instance.doctor import report

            self.app.stdout.write(report.render(checks))
        else:
            super().show(args, checks)

    def examine(self, args: argparse.Namespace) -> "list[Check]":
        from qemu_cli.command import loop
        from qemu_cli.instance import doctor

        try:
            host = self.app.host
        except QemuCliError as error:  # the settings can't be read
            return [doctor.Check("settings", "fail", str(error), error.hint)]
        return loop.run(doctor.examine(host))
