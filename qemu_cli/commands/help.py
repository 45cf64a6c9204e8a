"""``qemu help``."""

import argparse

from qemu_cli import external, helptext
from qemu_cli.command import Command
from qemu_cli.settings import ALIAS


class Help(Command):
    """Show what there is, or the help of one command."""

    examples = ("qemu help", "qemu help start", "qemu help --all")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the command's words."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--all",
            action="store_true",
            help="also those of plug-ins, aliases and qemu-… on PATH",
        )
        parser.add_argument(
            "words", metavar="COMMAND", nargs="*", help="the words of one"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Print it."""
        if parsed_args.words:
            return self.app.run_subcommand([*parsed_args.words, "--help"])
        manager = self.app.command_manager
        if parsed_args.all:
            text = helptext.everything(
                manager, self.app.config.members(ALIAS), external.every()
            )
        else:
            text = helptext.overview(manager)
        self.app.stdout.write(text)
        return 0
