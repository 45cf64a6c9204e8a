"""Commands of the user's own: ``alias.NAME`` in the settings.

``up = "start --console"`` stands for these words, and what is typed after
the alias follows them.  With slots it goes where they are: ``@ARG1@`` is
the first word, ``@ARGS@`` are all words that no numbered slot took.  An
alias that begins with ``!`` is a line for the shell.
"""

import re
import shlex

from qemu_cli.errors import UsageError

_SLOT = re.compile(r"@ARG(\d+|S)@")


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
        if word == "@ARGS@":
            expanded += rest
        else:
            expanded.append(
                _SLOT.sub(
                    lambda slot: (
                        " ".join(rest)
                        if slot[1] == "S"
                        else arguments[int(slot[1]) - 1]
                    ),
                    word,
                )
            )
    return expanded


def shell_line(name: str, text: str, arguments: list[str]) -> str:
    """The line for ``sh -c`` that a ``!`` alias stands for, all quoted.

    :raise UsageError: a slot has no argument
    """
    line = text.removeprefix("!")
    if not _SLOT.search(line):
        return f"{line} {shlex.join(arguments)}".rstrip()
    rest = _rest(name, line, arguments)
    return _SLOT.sub(
        lambda slot: (
            shlex.join(rest)
            if slot[1] == "S"
            else shlex.quote(arguments[int(slot[1]) - 1])
        ),
        line,
    )


def _rest(name: str, text: str, arguments: list[str]) -> list[str]:
    """The arguments that no numbered slot takes."""
    taken = {int(slot) for slot in _SLOT.findall(text) if slot != "S"}
    if 0 in taken or max(taken, default=0) > len(arguments):
        raise UsageError(
            f"the alias {name} needs {max(taken)} arguments: {text}"
        )
    rest = [a for i, a in enumerate(arguments, 1) if i not in taken]
    if rest and "@ARGS@" not in text:
        raise UsageError(
            f"the alias {name} takes no more than {len(taken)} arguments: "
            f"{text}"
        )
    return rest
