"""Which words can stand where, read from the parsers of all commands."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import NamedTuple

from qemu_cli import extensions, settings
from qemu_cli.command.defaults import CommandKeys
from qemu_cli.command.filters import OPERATORS
from qemu_cli.commandmanager import NAMESPACE, CommandManager
from qemu_cli.instance.vm import STATES
from qemu_cli.manual import TOPICS, schemas

#: The kinds that the scripts know, by the metavar of what takes one.
_KINDS = {
    "NAME": "vm",
    "REF": "vm",
    "DISK": "disk",
    "SNAP": "snapshot",
    "A": "snapshot",
    "B": "snapshot",
    "OLD": "snapshot",
    "EXPORT": "export",
    "STATE": "state",
    "KEY": "key",
    "WORD": "command",
    "SHELL": "shell",
    "CONDITION": "condition",
    **dict.fromkeys(("FILE", "ISO", "DIR", "OTHER", "SOURCE"), "file"),
    **dict.fromkeys(("SIZE|FILE", "SIZE|FILE[,KEY=VALUE…]"), "file"),
}

#: What an ``ID`` is, by the first word of the command.
_IDS = {"job": "job", "device": "device", "usb": "usb"}

#: A name that there must not be yet.
_NEW = {("create", "NAME"), ("join", "NAME"), ("nbd-export", "--name")}

#: What a script can have between its quotes, as one word.
_PLAIN = re.compile(r"[^\s'\"\\`$]+")

#: The commands of plug-ins, by their words; see :class:`CommandManager`.
Foreign = Mapping[str, Sequence[EntryPoint]]


class Command(NamedTuple):
    """One command, in the words of the scripts.

    :param takes: ``--option=kind`` of each that takes a value;
        ``one:a,b`` is a kind of its own, and ``/`` parts those of several
    :param arguments: the kind of each positional; the last may end in ``*``
    """

    words: str
    options: tuple[str, ...]
    takes: tuple[str, ...]
    arguments: tuple[str, ...]


def commands(foreign: Foreign) -> Iterator[Command]:
    """All commands of ours, and those of plug-ins that can be loaded."""
    for name, entry in extensions.own(NAMESPACE).items():
        yield _command(name.replace("_", " "), entry)
    for words, (entry, *_) in foreign.items():
        try:
            command = _command(words, entry)
        except Exception:  # noqa: BLE001, S112  `plugin doctor` tells
            continue
        each = [words.replace(" ", ""), *command.options, *command.takes]
        if all(map(_PLAIN.fullmatch, each)):
            yield command


def words(
    parser: argparse.ArgumentParser, foreign: Sequence[str]
) -> dict[str, list[str]]:
    """The lists that do not depend on a command.

    :param parser: that of ``qemu`` itself
    :param foreign: the commands of plug-ins
    """
    own = (name.replace("_", " ") for name in extensions.own(NAMESPACE))
    names = sorted({*own, *foreign})
    nouns = sorted({name.split()[0] for name in names if " " in name})
    return {
        "FIRST": sorted({name.split()[0] for name in names}),
        "NOUNS": nouns,
        "SECOND": [name.replace(" ", ":") for name in names if " " in name],
        "GLOBAL": list(_flags(parser)),
        "KEYS": [
            *(n for n, one in settings.SETTINGS.items() if not one.family),
            *CommandKeys(CommandManager()).names(),
        ],
        "TOPICS": list(TOPICS),
        "FORMATS": list(extensions.own("qemu_cli.formatters.list")),
        "OPERATORS": list(OPERATORS),
        "CONDITIONS": list(extensions.own("qemu_cli.conditions")),
        "STATES": list(STATES),
    }


def _command(words: str, entry: EntryPoint) -> Command:
    parser = extensions.load(entry)(None, None).get_parser("qemu")
    takes, arguments = [], []
    for action in parser._actions:
        kind = _kind(words, action)
        if action.option_strings and action.nargs != 0:
            takes += [f"{flag}={kind}" for flag in action.option_strings]
        elif not action.option_strings:
            many = action.nargs in ("*", "+", argparse.REMAINDER)
            arguments.append(kind + "*" * many)
    return Command(
        words, tuple(_flags(parser)), tuple(takes), tuple(arguments)
    )


def _flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if action.help != argparse.SUPPRESS:
            yield from action.option_strings


def _kind(words: str, action: argparse.Action) -> str:
    if action.choices:
        return f"one:{','.join(map(str, action.choices))}"
    columns = _columns(words)
    if isinstance(action.metavar, tuple):  # --filter
        return f"{columns}/operator/any"
    if action.metavar in ("A,B,+C", "A,-B"):
        return columns
    flag = action.option_strings[-1] if action.option_strings else None
    metavar = action.metavar or ""
    if (words, flag or metavar) in _NEW or (words, metavar) in _NEW:
        return "any"
    if flag == "--format" and metavar == "FORMAT":
        followers = {"events"}
        return "one:lines,ndjson" if words in followers else "format"
    if metavar == "ID":
        return _IDS.get(words.split()[0], "disk")
    return _KINDS.get(metavar, "any")


def _columns(words: str) -> str:
    schema = schemas.of(words)
    return f"one:{','.join(schema.keys)}" if schema else "any"
