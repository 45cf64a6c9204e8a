"""Commands that check something, and say how to mend what is wrong."""

import abc
import argparse
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from qemu_cli.command.display import Lister
from qemu_cli.ui import printable

if TYPE_CHECKING:
    from qemu_cli.command.display import Table
    from qemu_cli.instance.doctor import Check


class Checker(Lister):
    """Shows checks; the exit code is 1 when one fails, a warning is none."""

    @abc.abstractmethod
    def examine(self, args: argparse.Namespace) -> "list[Check]":
        """Make all checks."""

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Show them, as lines or in the format that is asked for."""
        checks = self.examine(parsed_args)
        self.show(parsed_args, checks)
        return int(any(check.status == "fail" for check in checks))

    def show(self, args: argparse.Namespace, checks: "list[Check]") -> None:
        """Lines, unless another format or other columns are asked for."""
        plain = not (args.columns or args.sort)
        if self.format_name(args) == "table" and plain:
            self._tell(checks)
        else:
            args.checks = checks
            super().run(args)

    def _tell(self, checks: "list[Check]") -> None:
        """Lines, not a table: of what is wrong, nothing is cut off."""
        left = max((len(check.check) for check in checks), default=0)
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
        """All checks as rows."""
        from qemu_cli.instance.doctor import Check

        return Check._fields, parsed_args.checks
