"""``qemu config …``: settings with their scope and origin."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from qemu_cli.command import Command, Lister
from qemu_cli.command.display import Table
from qemu_cli.config import Config
from qemu_cli.errors import NotFoundError


class ConfigList(Lister):
    """Show every setting, its value and where it comes from.

    With --instance: as they are for one VM, whose definition can have
    some too; 'qemu set NAME config.KEY=VALUE' puts them there.
    """

    examples = (
        "qemu config list",
        "qemu config list --columns key,value,doc",
        "qemu config list --instance web",
    )
    table_columns = ("key", "value", "scope", "origin")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the VM."""
        parser = super().get_parser(prog_name)
        _add_instance(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        """Look through all scopes."""
        config = _config(self, parsed_args)
        return ("key", "value", "scope", "origin", "doc"), self._rows(config)

    def _rows(self, config: Config) -> Iterator[tuple[str, ...]]:
        from qemu_cli import settings

        for key, value in config.items():
            setting = settings.find(key)
            doc = setting.doc if setting else ""
            yield key, value.text, value.scope, value.origin, doc


class ConfigGet(Command):
    """Show the value of one setting."""

    examples = (
        "qemu config get shutdown.timeout",
        "qemu config get shutdown.timeout --instance web",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the key."""
        parser = super().get_parser(prog_name)
        parser.add_argument("key", metavar="KEY")
        _add_instance(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Print it."""
        value = _config(self, parsed_args).lookup(parsed_args.key)
        if value.scope == "default" and "." in parsed_args.key:
            self._require_single(parsed_args.key)
        self.app.stdout.write(value.text + "\n")

    def _require_single(self, key: str) -> None:
        """A member of a family that nobody set has no default."""
        from qemu_cli import settings

        if key not in settings.SETTINGS:
            raise NotFoundError(f"{key} is not set")


def _add_instance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--instance", metavar="NAME", help="as it is for this VM"
    )


def _config(command: Command, args: argparse.Namespace) -> Config:
    """All scopes, or with ``--instance`` those that count for a VM.

    :raise QemuCliError: its definition can't be understood
    """
    host = command.app.host
    if args.instance is None:
        return host.config
    from qemu_cli.instance.resolve import resolve

    vm = resolve(host.paths, args.instance, probe=host.probe)
    table = vm.definition.config
    return host.config.for_instance(table, str(vm.paths.definition))


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
