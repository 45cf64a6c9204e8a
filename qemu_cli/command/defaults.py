"""Defaults for options: the settings ``create.memory``, ``list.format``.

A key is the words of a command and the long name of an option, with dots
between them.  What it says is put before what was typed, so that the
option's own type and checks see it, and what was typed wins.  What destroys
or confirms has no default: nobody should lose a disk to a line that they
wrote a year ago.
"""

import argparse
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qemu_cli.command.base import Parser
from qemu_cli.config import Value
from qemu_cli.errors import PluginError, UsageError
from qemu_cli.settings import SETTINGS, Setting, parse_yes_no
from qemu_cli.suggest import did_you_mean

if TYPE_CHECKING:
    from qemu_cli.commandmanager import CommandManager

#: Options with these names, of whatever command, destroy, confirm, or
#: choose more than was named.
NEVER = frozenset(
    (
        *("all", "crypted", "delete-file", "delete-files", "discard-saved"),
        *("force", "hard", "help", "in-place", "no-ram", "owner-knows"),
        *("repair", "rm", "shrink", "system", "trust-image", "writable"),
        "yes",
    )
)


class CommandKeys:
    """The keys of all commands, for :class:`~qemu_cli.config.Config`."""

    def __init__(self, manager: "CommandManager") -> None:
        self._manager = manager

    def find(self, key: str) -> Setting[str] | None:
        """The setting of a key, if it begins with a command's words.

        Whether the command has such an option is only known by who imports
        it: :func:`words` and :func:`check`.
        """
        return _setting(key) if self._command(key) else None

    def of_variable(self, word: str) -> str | None:
        """The key that ``SNAPSHOT_CREATE_EXTERNAL`` spells, or None."""
        spelled = word.lower().split("_")
        for count in range(len(spelled) - 1, 0, -1):
            words = "-".join(spelled[:count])
            for each in [*self._manager.commands, *self._manager.foreign]:
                if each.replace(" ", "-") == words:
                    option = "-".join(spelled[count:])
                    return f"{each.replace(' ', '.')}.{option}"
        return None

    def like(self, key: str) -> list[str]:
        """The key's option, of each command of ours."""
        words, _, option = key.rpartition(".")
        commands = self._manager.commands if words else ()
        return [f"{words.replace(' ', '.')}.{option}" for words in commands]

    def names(self) -> Iterator[str]:
        """All keys of our own commands; imports them all."""
        for words in sorted(self._manager.commands):
            for option in sorted(_options(self._parser(words))):
                yield f"{words.replace(' ', '.')}.{option}"

    def check(self, key: str, text: str) -> None:
        """Try whether the option of a key takes a text.

        :raise UsageError: there is no such option, it can have no default,
            or it does not take this
        """
        words = self._command(key)
        if key in SETTINGS or words is None:
            return
        try:
            parser = self._parser(words)
        except PluginError:
            return  # nobody can tell
        option = key.rpartition(".")[2]
        _words(parser, option, text, words, f"{key}: ")

    def _command(self, key: str) -> str | None:
        words = " ".join(key.split(".")[:-1])
        known = words in self._manager.commands or (
            words != "" and words in self._manager.foreign
        )
        return words if known else None

    def _parser(self, words: str) -> argparse.ArgumentParser:
        command: Any = self._manager.load(words)
        # The parser is the same in every program: it asks nothing of one.
        parser: argparse.ArgumentParser = command(None, None).get_parser(
            f"qemu {words}"
        )
        return parser


def words(
    parser: argparse.ArgumentParser,
    command: str,
    defaults: Mapping[str, Value],
    typed: Sequence[str],
) -> list[str]:
    """The words that stand for a command's defaults.

    :param command: its words
    :param defaults: by the option's name
    :param typed: what follows the command's words; an option in it, or one
        that excludes it, is stronger than its default
    :raise UsageError: there is no such option, or it does not take that
    """
    found = []
    seen = _typed(parser, typed)
    for option, value in defaults.items():
        key = f"{command.replace(' ', '.')}.{option}"
        if "." in option or key in SETTINGS:
            continue
        where = f"{value.origin}: {key}: " if value.origin else f"{key}: "
        these = _words(parser, option, value.text, command, where)
        if not seen & _rivals(parser, _options(parser)[option]):
            found += these
    return found


def _setting(key: str) -> Setting[str]:
    return Setting.unlisted(key, kind="option", parse=str)


def _options(
    parser: argparse.ArgumentParser,
) -> dict[str, argparse.Action]:
    """All options that can have a default, by their long names."""
    return {
        flag[2:]: action
        for action in parser._actions
        for flag in action.option_strings
        if flag.startswith("--") and flag[2:] not in NEVER
    }


def _words(
    parser: argparse.ArgumentParser,
    option: str,
    text: str,
    command: str,
    where: str,
) -> list[str]:
    """What would be typed for one default."""
    options = _options(parser)
    if option in NEVER and f"--{option}" in parser._option_string_actions:
        raise UsageError(
            f"{where}--{option} can have no default: it destroys, confirms, "
            "or means more than is named"
        )
    if option not in options:
        raise UsageError(
            f"{where}'qemu {command}' has no option --{option}",
            hint=did_you_mean(option, options),
        )
    action = options[option]
    flag = f"--{option}"
    try:
        if action.nargs == 0:
            return [flag] if parse_yes_no(text) else []
        if isinstance(action.nargs, int):  # --filter KEY OP VALUE
            values = shlex.split(text)
            if not values or len(values) % action.nargs:
                raise UsageError(f"not {action.nargs} words: {text!r}")
            found = []
            for start in range(0, len(values), action.nargs):
                found += [flag, *values[start : start + action.nargs]]
        elif isinstance(action, argparse._AppendAction):
            found = [f"{flag}={each}" for each in shlex.split(text)]
        else:
            if same := SETTINGS.get(option):  # such as memory
                same.parse(text)
            found = [f"{flag}={text}"]
        _try(parser, action, found)
    except (UsageError, ValueError) as error:
        hint = getattr(error, "hint", None)
        raise UsageError(f"{where}{error}", hint=hint) from None
    return found


def _try(
    parser: argparse.ArgumentParser,
    action: argparse.Action,
    words: Sequence[str],
) -> None:
    """Have the option alone read its words.

    :raise UsageError: it does not take them
    """
    alone = Parser(prog=parser.prog, add_help=False)
    alone._add_action(action)
    required, action.required = action.required, False
    try:
        alone.parse_args(words)
    finally:
        action.required = required


def _typed(
    parser: argparse.ArgumentParser, typed: Sequence[str]
) -> set[argparse.Action]:
    """The options that were typed, as far as one can tell beforehand."""
    found = set()
    for word in typed:
        if word == "--":
            break
        flag = word.partition("=")[0]
        if flag.startswith("--no-"):
            flag = (
                flag
                if flag in parser._option_string_actions
                else ("--" + flag.removeprefix("--no-"))
            )
        elif word[:1] == "-" and word[1:2] != "-":
            flag = word[:2]  # as in -fjson
        if action := parser._option_string_actions.get(flag):
            found.add(action)
    return found


def _rivals(
    parser: argparse.ArgumentParser, action: argparse.Action
) -> set[argparse.Action]:
    """An option, and all that can't be typed beside it."""
    found = {action}
    for group in parser._mutually_exclusive_groups:
        if action in group._group_actions:
            found.update(group._group_actions)
    return found
