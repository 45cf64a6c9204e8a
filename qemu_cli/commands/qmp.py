"""qemu qmp and hmp."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qemu_cli.command import Command, Lister
from qemu_cli.errors import UsageError

if TYPE_CHECKING:
    from qemu_cli.command.display import Table
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.schema import Schema


class Qmp(Lister):
    """Send QMP commands to a VM, and print what it returns.

    Arguments are checked against what this very QEMU says that it takes:
    --list names its commands, --help-command explains one.  They are
    key=value words, with a dot to go one level down; or JSON; or @FILE with
    JSON in it; or -, and stdin has the JSON.

    Without a command, commands are read from stdin, one a line: as words,
    or as the JSON that QMP itself takes.  The first that fails ends it.

    Replies are printed as JSON, or in the format that -f asks for.
    """

    examples = (
        "qemu qmp web query-status",
        "qemu qmp web block_resize node-name=disk0 size=20G",
        "qemu qmp web transaction @actions.json",
        "qemu qmp web --list 'query-*'",
        "qemu qmp web --help-command block-commit",
        "printf '%s\\n' stop query-status cont | qemu qmp web",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the VM")
        parser.add_argument(
            "command", metavar="COMMAND", nargs="?", help="the command"
        )
        parser.add_argument(
            "arguments",
            metavar="ARGUMENT",
            nargs="*",
            help="key=value, JSON, @FILE, or - for stdin",
        )
        group = parser.add_mutually_exclusive_group()
        group.add_argument(
            "--list",
            metavar="PATTERN",
            nargs="?",
            const="*",
            help="list the commands that there are",
        )
        group.add_argument(
            "--help-command",
            metavar="COMMAND",
            help="what a command takes and returns",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        if parsed_args.list or parsed_args.help_command:
            return super().run(parsed_args)
        if parsed_args.formatter:
            self.formatter(parsed_args)  # not misspelt, before the deed
        for reply in self._replies(parsed_args):
            self._print(parsed_args, reply)
        return 0

    def take_action(self, parsed_args: argparse.Namespace) -> "Table":
        from qemu_cli.command import loop
        from qemu_cli.qmp import manual

        vm = self._vm(parsed_args)
        schema = loop.run(self._schema(vm))
        if parsed_args.list:
            return ("command", "features"), [
                (name, ",".join(sorted(schema.features(name))))
                for name in _matching(schema.commands, parsed_args.list)
            ]
        described = manual.of_command(schema, parsed_args.help_command)
        if described.features:
            words = " and ".join(described.features)
            self.app.ui.warn(f"{described.command} is {words}")
        self.app.ui.say(f"{described.command} returns {described.returns}")
        return ("argument", "kind", "needed", "when", "features"), [
            (each.name, each.kind, each.needed, each.when, *_joined(each))
            for each in described.arguments
        ]

    def _vm(self, args: argparse.Namespace) -> "VM":
        from qemu_cli.instance import resolve

        return resolve.anyone(self.app.host, args.name)

    async def _schema(self, vm: "VM") -> "Schema":
        host = self.app.host_of(vm)
        async with host.sessions.open(vm.monitors) as session:
            return await host.schema(vm, session)

    def _replies(self, args: argparse.Namespace) -> list[Any]:
        from qemu_cli.command import loop
        from qemu_cli.instance import talk

        if args.command:
            orders = [talk.order(args.command, _arguments(args))]
        else:
            orders = [
                talk.order_of_line(line)
                for line in self.app.stdin
                if line.strip() and not line.startswith("#")
            ]
        vm = self._vm(args)
        host = self.app.host_of(vm)

        async def work() -> list[Any]:
            found = []
            async for reply in talk.send(host, vm, orders):
                if not args.command and not args.formatter:
                    self._print_line(reply)
                else:
                    found.append(reply)
            return found

        return loop.run(work())

    def _print(self, args: argparse.Namespace, reply: Any) -> None:
        import json

        if not args.formatter:
            text = json.dumps(reply, indent=2, ensure_ascii=False)
            self.app.stdout.write(f"{text}\n")
            return
        rows = reply if isinstance(reply, list) else [reply]
        names: dict[str, None] = {}
        for row in rows:
            keys = row if isinstance(row, Mapping) else ("value",)
            names |= dict.fromkeys(keys)
        self.print_rows(
            self.formatter(args),
            args,
            list(names),
            [
                [row.get(name) for name in names]
                if isinstance(row, Mapping)
                else [row]
                for row in rows
            ],
        )

    def _print_line(self, reply: Any) -> None:
        """One reply of several, as soon as it is there."""
        import json

        self.app.stdout.write(f"{json.dumps(reply, ensure_ascii=False)}\n")
        self.app.stdout.flush()


class Hmp(Command):
    """Send a command to a VM's human monitor, and print what it says.

    That is for people: the text may be another in the next QEMU.  For
    scripts there is 'qemu qmp'.
    """

    examples = ("qemu hmp web info block", "qemu hmp web info usernet")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the VM")
        parser.add_argument(
            "words",
            metavar="WORD",
            nargs=argparse.REMAINDER,
            help="the command, as one types it at the monitor's prompt",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve, talk

        if not parsed_args.words:
            raise UsageError(
                "no command", hint=f"qemu hmp {parsed_args.name} help"
            )
        vm = resolve.anyone(self.app.host, parsed_args.name)
        host = self.app.host_of(vm)
        text = loop.run(talk.human(host, vm, " ".join(parsed_args.words)))
        self.app.stdout.write(text.replace("\r\n", "\n"))


def _arguments(args: argparse.Namespace) -> Any:
    """What was given for a command: words, or JSON."""
    import json
    from pathlib import Path

    words: Sequence[str] = args.arguments
    if not words:
        return {}
    first = words[0]
    if first == "-":
        text = sys.stdin.read()
    elif first.startswith("@"):
        try:
            text = Path(first[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{first[1:]} can't be read: {error}") from error
    elif first[0] in "{[":
        text = first
    else:
        from qemu_cli.qmp import arguments

        return arguments.from_words(words)
    if len(words) > 1:
        raise UsageError(f"not understood: {' '.join(words[1:])}")
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{first[:40]} is not JSON: {error}") from error


def _joined(argument: Any) -> tuple[str]:
    return (",".join(argument.features),)


def _matching(names: Sequence[str], pattern: str) -> list[str]:
    import fnmatch

    if not any(each in pattern for each in "*?["):
        pattern = f"*{pattern}*"
    return fnmatch.filter(names, pattern)
