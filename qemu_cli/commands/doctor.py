"""qemu doctor."""

import argparse
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from qemu_cli.command import Lister
from qemu_cli.errors import QemuCliError
from qemu_cli.ui import printable

if TYPE_CHECKING:
    from qemu_cli.command.display import Table
    from qemu_cli.instance.doctor import Check


class Doctor(Lister):
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

    def run(self, parsed_args: argparse.Namespace) -> int:
        checks = self._examine()
        if parsed_args.report:
            from qemu_cli.instance.doctor import report

            self.app.stdout.write(report.render(checks))
        elif self.format_name(parsed_args) == "table" and not (
            parsed_args.columns or parsed_args.sort
        ):
            self._tell(checks)
        else:
            parsed_args.checks = checks
            super().run(parsed_args)
        return int(any(check.status == "fail" for check in checks))

    def _tell(self, checks: "list[Check]") -> None:
        """Lines, not a table: of what is wrong, nothing is cut off."""
        left = max(len(check.check) for check in checks)
        wrapper = textwrap.TextWrapper(
            width=shutil.get_terminal_size().columns
            if self.app.stdout.isatty()
            else sys.maxsize,
            subsequent_indent=" " * (4 + 2 + left + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for check in checks:
            line = f"{check.status:4}  {check.check:{left}}  {check.detail}"
            self.app.stdout.write(wrapper.fill(printable(line)) + "\n")
            if check.fix:
                fix = f"{wrapper.subsequent_indent}fix: {check.fix}"
                self.app.stdout.write(wrapper.fill(printable(fix)) + "\n")

    def take_action(self, parsed_args: argparse.Namespace) -> "Table":
        from qemu_cli.instance.doctor import Check

        return Check._fields, parsed_args.checks

    def _examine(self) -> "list[Check]":
        from qemu_cli.command import loop
        from qemu_cli.instance import doctor

        try:
            host = self.app.host
        except QemuCliError as error:  # the settings can't be read
            return [doctor.Check("settings", "fail", str(error), error.hint)]
        return loop.run(doctor.examine(host))
