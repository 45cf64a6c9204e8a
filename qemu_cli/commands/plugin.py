"""``qemu plugin …``: what others have added."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qemu_cli import settings
from qemu_cli.columns import Duration
from qemu_cli.command import Command, Lister, ShowOne
from qemu_cli.command.checks import Checker
from qemu_cli.command.display import Table

if TYPE_CHECKING:
    from qemu_cli.instance.doctor import Check
    from qemu_cli.plugins import Plugin

#: The columns that hold the names of what a plug-in adds, by kind.
_ADDS = {
    "commands": ("command",),
    "columns": ("column",),
    "formats": ("format", "format of one thing"),
    "hooks": ("hook",),
    "profiles": ("profile",),
    "conditions": ("condition",),
}


class PluginList(Lister):
    """Show all plug-ins: what they add, cost and do wrong.

    Each is imported in a process of its own, which takes a moment, and
    harms nobody.  Nothing of a plug-in is imported before it is used;
    only its hooks concern others: every command that changes a VM waits
    for their import.  A plug-in that is disabled is not imported.
    """

    examples = (
        "qemu plugin list",
        "qemu plugin list --all -f json",
        "qemu plugin list --columns name,import_s,hooks_s --sort -hooks_s",
    )
    table_columns = ("name", "version", "status", "adds", "import_s", "why")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add ``--all``."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--all", action="store_true", help="also what is built in"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        """Try them all."""
        from qemu_cli.plugins import inventory

        plugins = inventory.look(self.app.config, built_in=parsed_args.all)
        if not plugins:
            self.app.ui.advise(
                "plugins",
                "no plug-in is installed; 'qemu plugin new NAME' makes one",
            )
        columns = ("name", "version", "status", "adds", *_ADDS)
        columns += ("import_s", "hooks_s", "why")
        return columns, [_row(plugin) for plugin in plugins]


class PluginShow(ShowOne):
    """Show all about one plug-in.

    'hello' is short for 'qemu-cli-hello'.
    """

    examples = ("qemu plugin show hello", "qemu plugin show hello -f json")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument("plugin", metavar="NAME")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        """Try this one."""
        from qemu_cli.plugins import inventory

        every = inventory.found(built_in=True)
        name = inventory.require(parsed_args.plugin, every)
        (plugin,) = inventory.look(self.app.config, built_in=True, only=name)
        names, values = zip(*_details(plugin).items(), strict=True)
        return names, values


class PluginDoctor(Checker):
    """Check all plug-ins, and say how to mend what is wrong.

    The exit code is 1 when something of a plug-in can't be used.  Notes
    for its author are warnings, and so is a plug-in that is slow.
    """

    examples = ("qemu plugin doctor", "qemu plugin doctor hello")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names."""
        parser = super().get_parser(prog_name)
        parser.add_argument("plugins", metavar="NAME", nargs="*")
        return parser

    def examine(self, args: argparse.Namespace) -> "list[Check]":
        """Try them all."""
        from qemu_cli.plugins import doctor

        return doctor.examine(self.app.config, args.plugins)


class _Switch(Command):
    """What ``enable`` and ``disable`` have in common."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names."""
        parser = super().get_parser(prog_name)
        parser.add_argument("plugins", metavar="NAME", nargs="+")
        return parser

    def names(self, args: argparse.Namespace) -> set[str]:
        """The normalized names.

        :raise NotFoundError: a plug-in neither installed nor disabled
        """
        from qemu_cli.plugins import inventory

        known = {*inventory.found(), *self.disabled}
        return {inventory.require(word, known) for word in args.plugins}

    @property
    def disabled(self) -> frozenset[str]:
        """What is disabled now."""
        return self.app.config[settings.PLUGIN_DISABLED]

    def write(self, disabled: set[str]) -> None:
        """Write the setting, in the user's own file."""
        from qemu_cli import configfile

        key = settings.PLUGIN_DISABLED.name
        path = self.app.paths.user_config
        before = self.app.config.lookup(key)
        configfile.put(path, key, ", ".join(sorted(disabled)))
        if before.scope in ("environment", "command"):
            self.app.ui.warn(
                f"{before.origin} wins over {path}: {key} = {before.text}"
            )


class PluginDisable(_Switch):
    """Do without plug-ins, and keep them installed.

    What they add is neither offered nor imported from now on.  This is
    the setting plugin.disabled, in your own file; for one time only,
    'qemu -c plugin.disabled=qemu-cli-hello …' does it.
    """

    examples = ("qemu plugin disable hello", "qemu plugin disable hello top")

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the setting."""
        names, before = self.names(parsed_args), self.disabled
        self.write(names | before)
        for name in sorted(names):
            already = " already" if name in before else ""
            self.app.ui.say(f"{name}: disabled{already}")


class PluginEnable(_Switch):
    """Use plug-ins again that were disabled.

    For one time only, 'qemu -c plugin.disabled= …' uses all of them.
    """

    examples = ("qemu plugin enable hello",)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the setting."""
        names, before = self.names(parsed_args), self.disabled
        self.write({*before} - names)
        for name in sorted(names):
            already = "" if name in before else " already"
            self.app.ui.say(f"{name}: enabled{already}")


def _names(plugin: "Plugin", kinds: Sequence[str]) -> list[str]:
    """What it adds of some kinds; of hooks those that it takes part in."""
    found: list[str] = []
    for part in plugin.parts:
        if part.kind in kinds:
            found += part.hooks or [part.name]
    return list(dict.fromkeys(found))


def _row(plugin: "Plugin") -> list[Any]:
    columns = {name: _names(plugin, kinds) for name, kinds in _ADDS.items()}
    adds = []
    for name, members in columns.items():
        if len(members) > 3:
            adds.append(f"{len(members)} {name}")
        elif members:
            noun = name if len(members) > 1 else name.removesuffix("s")
            adds.append(f"{noun} {', '.join(members)}")
    return [
        *(plugin.name, plugin.version, plugin.status, "; ".join(adds)),
        *columns.values(),
        *(Duration(plugin.import_s), Duration(plugin.hooks_s)),
        "; ".join(_why(plugin)) or None,
    ]


def _why(plugin: "Plugin") -> list[str]:
    slow = [plugin.slow] if plugin.enabled and plugin.slow else []
    return plugin.problems + slow


def _details(plugin: "Plugin") -> dict[str, Any]:
    return {
        "name": plugin.name,
        "version": plugin.version,
        "summary": plugin.summary,
        "status": plugin.status,
        "needs_api": plugin.api,
        **{name: _names(plugin, kinds) for name, kinds in _ADDS.items()},
        "import_s": Duration(plugin.import_s),
        "hooks_s": Duration(plugin.hooks_s),
        "why": _why(plugin),
        "notes": [
            f"the {part.kind} {part.name!r}: {note}"
            for part in plugin.parts
            for note in part.notes
        ],
        "parts": [
            {
                "kind": part.kind,
                "name": part.name,
                "target": part.target,
                "import_s": part.import_s and round(part.import_s, 6),
                "problem": part.problem,
            }
            for part in plugin.parts
        ],
    }
