"""``qemu plugin new``."""

import argparse
from pathlib import Path

from qemu_cli.command import Command


class PluginNew(Command):
    """Write the package of a new plug-in, to start from.

    It has a command, a column of 'qemu list', a hook, and tests, and it
    works as it is: install it with pip.
    """

    examples = (
        "qemu plugin new disk-report",
        "qemu plugin new disk-report --directory ~/src/disk-report",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name and the directory."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "name",
            metavar="NAME",
            help="also the word of its command; the distribution is "
            "qemu-cli-NAME",
        )
        parser.add_argument(
            "--directory",
            metavar="DIR",
            type=Path,
            help="new or empty (default: qemu-cli-NAME, here)",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write it."""
        from qemu_cli.plugins import scaffold

        new = scaffold.names(parsed_args.name)
        directory = parsed_args.directory or Path(new.distribution)
        for path in scaffold.create(new, directory.expanduser()):
            self.app.stdout.write(f"{path}\n")
        self.app.ui.advise(
            "plugins",
            f"'pip install --editable {directory}', then 'qemu {new.word} VM'",
        )
