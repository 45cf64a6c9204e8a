"""``qemu plugin list``."""

import argparse
from collections.abc import Iterator
from typing import Any

from qemu_cli import extensions
from qemu_cli.command import Lister
from qemu_cli.command.display import Table
from qemu_cli.errors import PluginError

#: What each entry-point group adds.
_KINDS = {
    "qemu_cli.commands": "command",
    "qemu_cli.columns.list": "column of list",
    "qemu_cli.formatters.list": "format of lists",
    "qemu_cli.formatters.show": "format of one thing",
    "qemu_cli.hooks": "hook",
    "qemu_cli.profiles": "profile",
}


class PluginList(Lister):
    """Show what plug-ins add, and which of them are broken."""

    examples = ("qemu plugin list", "qemu plugin list --all -f json")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add ``--all``."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--all", action="store_true", help="also what is built in"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        """Import everything, to see whether it works."""
        columns = ("name", "kind", "distribution", "version", "status", "why")
        return columns, list(_rows(parsed_args.all))


def _rows(built_in: bool) -> Iterator[tuple[Any, ...]]:
    for group, kind in _KINDS.items():
        own = extensions.own(group)
        entries = extensions.foreign(group)
        names = [entry.name for entry in entries]
        if built_in:
            entries = [*own.values(), *entries]
        for entry in entries:
            who, _, version = extensions.provider(entry).partition(" ")
            name = entry.name
            if kind == "command":
                name = name.replace("_", " ")
            why = None
            if who != extensions.DISTRIBUTION and entry.name in own:
                why = "the built-in one is used"
            elif names.count(entry.name) > 1 and kind != "hook":
                why = "another plug-in has it too"
            else:
                try:
                    extensions.load(entry)
                except PluginError as error:
                    why = str(error)
            status = "broken" if why else "ok"
            yield name, kind, who, version, status, why
