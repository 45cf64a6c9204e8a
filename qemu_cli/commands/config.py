"""``qemu config …``: settings with their scope and origin."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from qemu_cli.command import Command, Lister
from qemu_cli.command.display import Table
from qemu_cli.errors import NotFoundError


class ConfigList(Lister):
    """Show every setting, its value and where it comes from."""

    examples = (
        "qemu config list",
        "qemu config list --columns key,value,doc",
    )
    table_columns = ("key", "value", "scope", "origin")

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        """Look through all scopes."""
        return ("key", "value", "scope", "origin", "doc"), self._rows()

    def _rows(self) -> Iterator[tuple[str, ...]]:
        from qemu_cli import settings

        for key, value in self.app.config.items():
            setting = settings.find(key)
            doc = setting.doc if setting else ""
            yield key, value.text, value.scope, value.origin, doc


class ConfigGet(Command):
    """Show the value of one setting."""

    examples = ("qemu config get shutdown.timeout",)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the key."""
        parser = super().get_parser(prog_name)
        parser.add_argument("key", metavar="KEY")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Print it."""
        value = self.app.config.lookup(parsed_args.key)
        if value.scope == "default" and "." in parsed_args.key:
            self._require_single(parsed_args.key)
        self.app.stdout.write(value.text + "\n")

    def _require_single(self, key: str) -> None:
        """A member of a family that nobody set has no default."""
        from qemu_cli import settings

        if key not in settings.SETTINGS:
            raise NotFoundError(f"{key} is not set")


class _Change(Command):
    """What ``set`` and ``unset`` have in common."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the key and the file."""
        parser = super().get_parser(prog_name)
        parser.add_argument("key", metavar="KEY")
        scope = parser.add_mutually_exclusive_group()
        scope.add_argument(
            "--user",
            action="store_true",
            help="in your own file (the default)",
        )
        scope.add_argument(
            "--system", action="store_true", help="in the host's file"
        )
        return parser

    def file(self, args: argparse.Namespace) -> Path:
        """The file to change."""
        paths = self.app.paths
        return paths.system_config if args.system else paths.user_config


class ConfigSet(_Change):
    """Change a setting; comments in the file are kept."""

    examples = (
        "qemu config set memory 4G",
        "qemu config set alias.up 'start --console'",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the value."""
        parser = super().get_parser(prog_name)
        parser.add_argument("value", metavar="VALUE")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write it."""
        from qemu_cli import configfile

        path = self.file(parsed_args)
        configfile.put(path, parsed_args.key, parsed_args.value)
        self.app.ui.say(f"{path}: {parsed_args.key} = {parsed_args.value}")


class ConfigUnset(_Change):
    """Remove a setting from a file."""

    examples = ("qemu config unset memory",)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Remove it."""
        from qemu_cli import configfile

        path = self.file(parsed_args)
        configfile.drop(path, parsed_args.key)
        self.app.ui.say(f"{path}: {parsed_args.key} removed")
