"""What an instance may be called."""

import re

from qemu_cli.errors import UsageError

NAME_MAX = 64

#: Words that mean something else where a name is expected.
RESERVED = frozenset({"all", "none", "help", "now", "self"})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


def check_name(name: str) -> str:
    """Return the name if an instance may be called so.

    It becomes a directory, a host name and part of a socket's path, so
    it is made of ASCII letters, digits, ``.``, ``_`` and ``-``, begins
    with a letter or a digit, and has at most 64 characters.

    :raise UsageError: it may not; the message says why
    """
    hint = "a name is made of letters, digits, '.', '_' and '-', as in web-1"
    shown = name if len(name) <= NAME_MAX else f"{name[:20]}…"
    if len(name) > NAME_MAX:
        raise UsageError(
            f"the name '{shown}' is {len(name)} characters long; "
            f"{NAME_MAX} is the most"
        )
    if not name:
        raise UsageError("the name is empty", hint=hint)
    if name in RESERVED:
        raise UsageError(f"'{name}' is a word of ours, not a name")
    if not _NAME.fullmatch(name):
        bad = next(
            (c for c in name if not re.match(r"[A-Za-z0-9._-]", c)), name[0]
        )
        raise UsageError(
            f"'{shown}' can't be a name: {ascii_name(bad)} is not allowed"
            + (" at its start" if bad == name[0] else ""),
            hint=hint,
        )
    if name.endswith(".lock"):
        raise UsageError(f"'{shown}' can't be a name: it ends in .lock")
    return name


def ascii_name(character: str) -> str:
    """Name a character so that it is readable on any terminal."""
    if character == " ":
        return "a space"
    if character.isascii() and character.isprintable():
        return f"'{character}'"
    return f"character U+{ord(character):04X}"
