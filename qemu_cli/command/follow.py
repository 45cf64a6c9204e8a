"""Commands that write for as long as something happens."""

import abc
import argparse
from collections.abc import AsyncIterator, Mapping
from typing import Any

from qemu_cli.columns import plain
from qemu_cli.command.base import Command
from qemu_cli.errors import UsageError
from qemu_cli.ui import printable

_FORMATS = ("lines", "ndjson")


class Follower(Command):
    """A command that writes each thing as it comes, and flushes it.

    A subclass has :meth:`follow`, and :meth:`line` for people.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add ``-f``."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "-f",
            "--format",
            dest="formatter",
            metavar="FORMAT",
            default="lines",
            help=f"{' or '.join(_FORMATS)} (default: lines)",
        )
        return parser

    @abc.abstractmethod
    def follow(
        self, args: argparse.Namespace
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yield what happens, until nothing more can.

        :raise QemuCliError: it can't be followed
        """

    @abc.abstractmethod
    def line(self, item: Mapping[str, Any]) -> str:
        """One thing that happened, as a line for people."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write until the end, or until Ctrl-C."""
        if parsed_args.formatter not in _FORMATS:
            raise UsageError(
                f"there is no format {parsed_args.formatter!r} to follow in; "
                f"known: {', '.join(_FORMATS)}"
            )
        from qemu_cli.command import loop

        loop.run(self._write(parsed_args))

    async def _write(self, args: argparse.Namespace) -> None:
        from qemu_cli.formatters.json import dump

        async for item in self.follow(args):
            if args.formatter == "ndjson":
                dump(plain(item), self.app.stdout, indent=None)
            else:
                self.app.stdout.write(printable(self.line(item)) + "\n")
            self.app.stdout.flush()
