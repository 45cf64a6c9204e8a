"""qemu console."""

import argparse

from qemu_cli.command import Command
from qemu_cli.errors import UsageError
from qemu_cli.units import parse_duration


class Console(Command):
    """Attach to a guest's first serial port; Ctrl-] leaves.

    On a terminal every key goes to the guest.  Without one, stdin goes to
    the guest and what it writes to stdout; it ends when stdin has ended
    and the guest has been silent for a while.

    The size of the window can't be sent through a serial port: in the
    guest, 'stty rows 50 cols 120' says it.
    """

    examples = (
        "qemu console web",
        "echo uptime | qemu console web",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument(
            "--replay",
            type=_count,
            metavar="N",
            help="on a terminal, show the last N lines first (default: 20)",
        )
        parser.add_argument(
            "--silence",
            type=parse_duration,
            metavar="TIME",
            help="without a terminal, how long the guest must have been "
            "silent after the end of stdin (default: 1s)",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command.console import attach
        from qemu_cli.instance.resolve import resolve

        host = self.app.host
        attach(
            self.app,
            resolve(host.paths, parsed_args.name, probe=host.probe),
            replay_lines=parsed_args.replay,
            silence_s=parsed_args.silence,
        )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"--replay {text}: not a number of lines")
    return int(text)
