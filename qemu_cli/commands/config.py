"""``qemu config …``: settings with their scope and origin."""

import argparse
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.command import Command, Lister, Parser
from qemu_cli.command.display import Table
from qemu_cli.config import Config
from qemu_cli.errors import NotFoundError, StateError, UsageError

if TYPE_CHECKING:
    from qemu_cli.settings import Setting

#: What a new file begins with.
_FRESH = """\
# Settings of qemu-cli; 'qemu help settings' tells all of them.
"""


class ConfigList(Lister):
    """Show every setting, its value and where it comes from.

    With --instance: as they are for one VM, whose definition can have
    some too; 'qemu set NAME config.KEY=VALUE' puts them there.
    """

    examples = (
        "qemu config list",
        "qemu config list --show-scope",
        "qemu config list --columns key,value,doc",
        "qemu config list --instance web",
    )
    table_columns: tuple[str, ...] = ("key", "value", "scope", "origin")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the VM."""
        parser = super().get_parser(prog_name)
        _add_where(parser, "show only the {}, beside key and value")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        """Look through all scopes."""
        config = _config(self, parsed_args)
        if wanted := [w for w in _WHERE if getattr(parsed_args, w)]:
            self.table_columns = ("key", "value", *wanted)
        return ("key", "value", "scope", "origin", "doc"), self._rows(config)

    def _rows(self, config: Config) -> Iterator[tuple[str, ...]]:
        from qemu_cli import settings

        for key, value in config.items():
            doc = _doc(key, settings.find(key))
            yield key, value.text, value.scope, value.origin, doc


class ConfigGet(Command):
    """Show the value of one setting."""

    examples = (
        "qemu config get shutdown.timeout",
        "qemu config get shutdown.timeout --instance web",
        "qemu config get --show-origin memory",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the key."""
        parser = super().get_parser(prog_name)
        parser.add_argument("key", metavar="KEY")
        _add_where(parser, "show the {} before the value")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Print it."""
        value = _config(self, parsed_args).lookup(parsed_args.key)
        if value.scope == "default":
            self._require_single(parsed_args.key)
        words = [
            getattr(value, where) or "built in"
            for where in _WHERE
            if getattr(parsed_args, where)
        ]
        self.app.stdout.write("\t".join([*words, value.text]) + "\n")

    def _require_single(self, key: str) -> None:
        """What nobody set has no default: a family's, and an option's."""
        from qemu_cli import settings

        if key not in settings.SETTINGS:
            raise NotFoundError(f"{key} is not set")


#: What a value has beside its text, in git's words: ``--show-scope`` …
_WHERE = ("scope", "origin")


def _add_where(parser: argparse.ArgumentParser, doc: str) -> None:
    parser.add_argument(
        "--instance", metavar="NAME", help="as it is for this VM"
    )
    for where in _WHERE:
        parser.add_argument(
            f"--show-{where}",
            dest=where,
            action="store_true",
            help=doc.format(where),
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


def _doc(key: str, setting: "Setting[object] | None") -> str:
    if setting:
        return setting.doc
    *words, option = key.split(".")
    return f"the default of --{option} of 'qemu {' '.join(words)}'"


class _Change(Command):
    """What ``set``, ``unset`` and ``edit`` have in common."""

    def add_scope(self, parser: argparse.ArgumentParser) -> None:
        """Add the ways to say which file."""
        scope = parser.add_mutually_exclusive_group()
        scope.add_argument(
            "--user",
            action="store_true",
            help="in your own file (the default)",
        )
        scope.add_argument(
            "--system", action="store_true", help="in the host's file"
        )
        scope.add_argument(
            "--instance",
            metavar="NAME",
            help="in the definition of this VM, below [config]",
        )

    def file(self, args: argparse.Namespace) -> Path:
        """The file to change."""
        paths = self.app.paths
        return paths.system_config if args.system else paths.user_config

    def of_instance(self, args: argparse.Namespace, value: str) -> None:
        """Assign it in a VM's definition; empty: remove it.

        :raise UsageError: an instance may not have it
        """
        from qemu_cli.command import loop
        from qemu_cli.command.changes import tell
        from qemu_cli.instance import keys, redefine
        from qemu_cli.instance.resolve import resolve

        host = self.app.host
        vm = resolve(host.paths, args.instance, probe=host.probe)
        assignment = keys.parse_assignment(f"config.{args.key}={value}")
        confirm = functools.partial(self.app.ui.confirm, yes=False)
        done = loop.run(
            redefine.assign(
                self.app.host_of(vm), vm, [assignment], confirm=confirm
            )
        )
        tell(self.app.ui, vm.name, done)


class ConfigSet(_Change):
    """Change a setting; comments in the file are kept.

    Beside the settings, each option of each command is a key: its value is
    the option's default.  What destroys or confirms has none.
    """

    examples = (
        "qemu config set memory 4G",
        "qemu config set list.columns name,state,forwards",
        "qemu config set alias.up 'start --console'",
        "qemu config set shutdown.timeout 5m --instance web",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the key, the value and the file."""
        parser = super().get_parser(prog_name)
        parser.add_argument("key", metavar="KEY")
        parser.add_argument("value", metavar="VALUE")
        assert isinstance(parser, Parser)  # noqa: S101
        parser.dashed_last = True
        self.add_scope(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write it."""
        from qemu_cli import configfile

        key, value = parsed_args.key, parsed_args.value
        if parsed_args.instance:
            self.of_instance(parsed_args, value)
            return
        _check(self, key, value)
        path = self.file(parsed_args)
        configfile.put(path, key, value)
        self.app.ui.say(f"{path}: {key} = {value}")


class ConfigUnset(_Change):
    """Remove a setting from a file."""

    examples = (
        "qemu config unset memory",
        "qemu config unset shutdown.timeout --instance web",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the key and the file."""
        parser = super().get_parser(prog_name)
        parser.add_argument("key", metavar="KEY")
        self.add_scope(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Remove it."""
        from qemu_cli import configfile

        if parsed_args.instance:
            self.of_instance(parsed_args, "")
            return
        path = self.file(parsed_args)
        configfile.drop(path, parsed_args.key)
        self.app.ui.say(f"{path}: {parsed_args.key} removed")


class ConfigEdit(_Change):
    """Edit a settings file; it is checked before it counts.

    The editor is the setting core.editor, else $VISUAL, $EDITOR or vi.
    When something is wrong with the text, it can be edited again, and is
    never lost.  With --instance it is the VM's definition that is edited,
    as with 'qemu edit'.
    """

    examples = (
        "qemu config edit",
        "EDITOR=nano qemu config edit",
        "qemu config edit --instance web",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the file."""
        parser = super().get_parser(prog_name)
        self.add_scope(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Edit it until it is right, or given up."""
        if parsed_args.instance:
            return self.app.run_subcommand(["edit", parsed_args.instance])
        from qemu_cli.command import editor
        from qemu_cli.files import write_atomically

        path = self.file(parsed_args).resolve()
        before = path.read_text("utf-8") if path.exists() else ""
        draft = path.with_name(f"{path.name}.draft")
        ui = self.app.ui
        path.parent.mkdir(parents=True, exist_ok=True)
        if draft.exists():
            ui.say(f"going on with your text in {draft}")
        else:
            draft.write_text(before or _FRESH, encoding="utf-8")

        def accept(text: str) -> bool:
            for key, value in _parsed(text, draft).items():
                _check(self, key, value)
            if (path.read_text("utf-8") if path.exists() else "") != before:
                raise StateError(f"{path} was changed meanwhile")
            write_atomically(path, text)
            return True

        option = " --system" if parsed_args.system else ""
        done = editor.revise(
            *(self.app, draft, before or _FRESH, accept),
            what=str(path),
            again=f"qemu config edit{option}",
        )
        ui.say(f"{path}: {'changed' if done else 'nothing has changed'}")
        return 0


def _parsed(text: str, path: Path) -> dict[str, str]:
    import tomllib

    from qemu_cli.config import flatten

    try:
        return dict(flatten(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from None


def _check(command: Command, key: str, text: str) -> None:
    """Check a key and a value that were typed just now.

    :raise UsageError: there is no such setting or option, or it does not
        take this
    """
    app = command.app
    # The files may be what is to be repaired: they are not looked at.
    app.config.check(key, text)
    app.command_keys.check(key, text)
