"""Plug-ins that are real as far as Python can tell."""

from collections.abc import Callable, Mapping
from typing import Any

from qemu_cli.testing.home import Result

COMMANDS = "qemu_cli.commands"


HOOKS = "qemu_cli.hooks"


GOOD = '''
from qemu_cli.command import Command
from qemu_cli.hookspecs import hookimpl


class Hello(Command):
    """Say hello."""

    examples = ("qemu hello",)

    def take_action(self, args):
        self.app.stdout.write("hello\\n")


def column(vm):
    return vm.name.upper()


@hookimpl
def qemu_cli_created(vm):
    """Do nothing."""


class Format:
    def emit_list(self, names, rows, stdout, args):
        stdout.write("nothing\\n")
'''


#: As GOOD, for a distribution called ``good``.
EVERYTHING = {
    COMMANDS: {"hello": "good:Hello", "say_hello": "good:Hello"},
    "qemu_cli.columns.list": {"loud": "good:column"},
    "qemu_cli.formatters.list": {"nothing": "good:Format"},
    HOOKS: {"good": "good"},
}


Qemu = Callable[..., Result]


def rows(qemu: Qemu, *words: str) -> Mapping[str, Mapping[str, Any]]:
    done = qemu(*words, "plugin", "list", "-f", "json")
    assert done.rc == 0, done.err
    return {row["name"]: row for row in done.json}
