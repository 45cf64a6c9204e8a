"""Completion for shells: what ``qemu completion SHELL`` prints.

A script has all words in itself (:mod:`~qemu_cli.completion.table`), and
finds VMs by the shell's own globbing, so that TAB starts no Python.  Only
what is inside a VM (disks, snapshots, exports, jobs) is asked of ``qemu``.
"""

import argparse
from pathlib import Path

from qemu_cli.completion import table

SHELLS = ("bash", "zsh", "fish")

#: Where each shell looks, below an installation's prefix.
PLACES = {
    "bash": "share/bash-completion/completions/qemu",
    "zsh": "share/zsh/site-functions/_qemu",
    "fish": "share/fish/vendor_completions.d/qemu.fish",
}


def script(
    shell: str,
    parser: argparse.ArgumentParser,
    foreign: table.Foreign | None = None,
) -> str:
    """The script for a shell.

    :param shell: one of :data:`SHELLS`
    :param parser: that of ``qemu`` itself
    :param foreign: the commands of plug-ins
    """
    commands = list(table.commands(foreign or {}))
    theirs = {each.words for each in commands} & (foreign or {}).keys()
    template = Path(__file__).with_name(f"qemu.{shell}").read_text("utf-8")
    for name, words in table.words(parser, sorted(theirs)).items():
        template = template.replace(f"@{name}@", " ".join(map(_quote, words)))
    case = _fish_case if shell == "fish" else _sh_case
    cases = (
        case(
            _quote(command.words),
            _quote(" ".join(command.options)),
            _quote(" ".join(command.takes)),
            _quote(" ".join(command.arguments)),
        )
        for command in commands
    )
    return template.replace("@CASES@\n", "".join(cases))


def _sh_case(words: str, options: str, takes: str, arguments: str) -> str:
    return (
        f"    {words})\n"
        f"        options={options}\n"
        f"        takes={takes}\n"
        f"        arguments={arguments} ;;\n"
    )


def _fish_case(words: str, options: str, takes: str, arguments: str) -> str:
    return (
        f"        case {words}\n"
        f"            set options (string split ' ' -- {options})\n"
        f"            set takes (string split ' ' -- {takes})\n"
        f"            set arguments (string split ' ' -- {arguments})\n"
    )


def _quote(text: str) -> str:
    """None of the words has a quote or a backslash in it."""
    return f"'{text}'"
