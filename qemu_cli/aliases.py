"""Commands of the user's own: ``alias.NAME`` in the settings.

``up = "start --console"`` stands for these words, and what is typed after
the alias follows them.  With ``$1``, ``$2`` … it goes where they are;
``$@`` are all words that no number took.  An alias that begins with ``!``
is a line for the shell, which has the words as its own ``$1`` and ``$@``.
"""

import os
import re
import shlex
from collections.abc import Sequence

from qemu_cli.errors import UsageError

#: Such as ``$1``, ``${12}`` and ``$@``.
_SLOT = re.compile(r"\$(?:([0-9])|\{([0-9]+)\}|@)")

#: How a line for the shell uses its words.
_SHELL_SLOT = re.compile(r"\$(?:[0-9@*#]|\{[0-9@*#])")


#: The ``!`` aliases that we were called by, in the environment.
_WAY = "QEMU_CLI_ALIASES"

#: So many may call each other.
_DEEPEST = 20


def expand(name: str, text: str, arguments: list[str]) -> list[str]:
    """The words that an alias stands for.

    :param name: the alias, for messages
    :param text: its definition
    :param arguments: what was typed after it
    :raise UsageError: a slot has no argument, or quotes don't match
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"alias.{name}: {error}: {text}") from None
    if not _SLOT.search(text):
        return words + arguments
    rest = _rest(name, text, arguments)
    expanded: list[str] = []
    for word in words:
        if word == "$@":
            expanded += rest
        else:
            expanded.append(
                _SLOT.sub(
                    lambda slot: (
                        arguments[number - 1]
                        if (number := _number(slot))
                        else " ".join(rest)
                    ),
                    word,
                )
            )
    return expanded


def shell_argv(name: str, text: str, arguments: list[str]) -> list[str]:
    """What ``sh`` is to be given for a ``!`` alias.

    As in git, what is typed follows the line; but where the line itself
    says what becomes of it.
    """
    line = text.removeprefix("!")
    if not _SHELL_SLOT.search(line):
        line += ' "$@"'
    return ["-c", line, name, *arguments]


def endless(way: Sequence[str]) -> UsageError:
    """The error for aliases that lead back to where they began."""
    return UsageError(f"these aliases never end: {' → '.join(way)}")


def deeper(name: str) -> dict[str, str]:
    """What goes with a line for the shell, which may call us again.

    :raise UsageError: such lines have called each other too often
    """
    way = [*os.environ.get(_WAY, "").split(), name]
    if len(way) > _DEEPEST:
        raise endless([*dict.fromkeys(way), name])
    return {_WAY: " ".join(way)}


def _number(slot: re.Match[str]) -> int:
    """The number of a slot; 0 for ``$@``."""
    return int(slot[1] or slot[2] or 0)


def _rest(name: str, text: str, arguments: list[str]) -> list[str]:
    """The arguments that no numbered slot takes."""
    slots = list(_SLOT.finditer(text))
    if zero := next((s for s in slots if (s[1] or s[2] or "1") == "0"), None):
        raise UsageError(f"alias.{name}: {zero[0]} is no argument: {text}")
    taken = {_number(slot) for slot in slots} - {0}
    if max(taken, default=0) > len(arguments):
        raise UsageError(
            f"the alias {name} needs {max(taken)} arguments: {text}"
        )
    rest = [a for i, a in enumerate(arguments, 1) if i not in taken]
    if rest and not any(slot[0] == "$@" for slot in slots):
        raise UsageError(
            f"the alias {name} takes no more than {len(taken)} arguments: "
            f"{text}"
        )
    return rest
