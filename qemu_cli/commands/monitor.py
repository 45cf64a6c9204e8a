"""qemu monitor."""

import argparse

from qemu_cli.command import Command
from qemu_cli.errors import UsageError


class Monitor(Command):
    """Talk to a VM's QEMU at a prompt; Ctrl-D leaves.

    A line is a QMP command with key=value words, or the JSON that QMP
    itself takes, or 'hmp' and a command of the human monitor.  Tab
    completes commands, arguments and values from what this very QEMU says
    that it takes; ?COMMAND explains one.  What the VM tells meanwhile is
    shown as it comes.  Ctrl-C clears the line.

    Other commands are not held up.  Only a VM that others started with
    one monitor has that held for as long as you are in.
    """

    examples = ("qemu monitor web", "qemu monitor pid:1234")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the VM")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.instance import resolve

        if not (self.app.stdin.isatty() and self.app.stdout.isatty()):
            raise UsageError(
                "a monitor's prompt needs a terminal",
                hint=f"'qemu qmp {parsed_args.name}' takes commands from "
                "stdin, one a line",
            )
        vm = resolve.anyone(self.app.host, parsed_args.name)
        # Imported when it is sure that there will be a prompt.
        from qemu_cli.command.monitor import attend

        attend(self.app, vm)
