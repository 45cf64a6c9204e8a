"""The table for people: aligned columns without borders.

Written for speed too: prettytable costs more than all the rest of a
``list``.
"""

import argparse
import os
import shutil
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from qemu_cli import settings
from qemu_cli.columns import (
    Duration,
    Percent,
    Rate,
    Size,
    State,
    human,
    plain,
)
from qemu_cli.ui import printable

_GAP = "  "

#: A table shows human units, so the name need not say them.
_UNITS = ("_mib", "_bytes_s", "_bytes", "_s", "_percent")


class Table:
    """A header and a line for each row; or ``key: value`` lines."""

    human = True

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write the table; cut to its width on a terminal only."""
        values = [list(row) for row in data]
        cells = [[title(name).upper() for name in column_names]]
        cells += [[printable(human(v)) for v in row] for row in values]
        columns = zip(*cells, strict=True)
        widths = [max(map(width, column)) for column in columns]
        right = [is_number(column) for column in zip(*values, strict=True)]
        right += [False] * (len(widths) - len(right))  # no rows at all
        terminal = _terminal_width(stdout)
        if terminal:
            widths = _shrink(widths, [width(c) for c in cells[0]], terminal)
        colour = _wants_colour(parsed_args, stdout, terminal)
        for number, line in enumerate(cells):
            out = []
            for column, text in enumerate(line):
                text = cut(text, widths[column])
                space = " " * (widths[column] - width(text))
                if colour and number:
                    text = _coloured(values[number - 1][column], text)
                out.append(space + text if right[column] else text + space)
            stdout.write(_GAP.join(out).rstrip() + "\n")

    def emit_one(
        self,
        column_names: Sequence[str],
        data: Sequence[Any],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write a ``key: value`` line for each value.

        A list of tables, such as the disks, gets a line for each.
        """
        names = [title(name) + ":" for name in column_names]
        left = max(map(width, names), default=0)
        colour = _wants_colour(parsed_args, stdout, _terminal_width(stdout))
        for name, value in zip(names, data, strict=True):
            for text in lines(value):
                if colour:
                    text = _coloured(value, text)
                space = " " * (left - width(name))
                stdout.write(f"{name}{space} {text}".rstrip() + "\n")
                name = ""


def title(name: str) -> str:
    """A column's name as people read it: ``memory`` for memory_mib."""
    for unit in _UNITS:
        if name.endswith(unit):
            name = name.removesuffix(unit)
            break
    return name.replace("_", " ")


def width(text: str) -> int:
    """How many cells of a terminal a text takes (UAX 11)."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0
        if unicodedata.combining(each)
        else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )


def cut(text: str, room: int) -> str:
    """Shorten a text to so many cells, with an ellipsis."""
    if width(text) <= room:
        return text
    while text and width(text) > room - 1:
        text = text[:-1]
    return text + "…"


def is_number(column: Sequence[Any]) -> bool:
    """Has a column numbers only, whatever their unit?"""
    return all(
        value is None
        or isinstance(value, Size | Duration | Rate | Percent)
        or (isinstance(value, int | float) and not isinstance(value, bool))
        for value in column
    )


def _terminal_width(stdout: TextIO) -> int | None:
    if not stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def _shrink(widths: list[int], least: list[int], room: int) -> list[int]:
    """Take from the widest column until all fit, but leave the headers."""
    widths = list(widths)
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - room
    while excess > 0:
        spare = [w - max(m, 8) for w, m in zip(widths, least, strict=True)]
        widest = max(range(len(widths)), key=spare.__getitem__)
        if spare[widest] <= 0:
            break
        widths[widest] -= 1
        excess -= 1
    return widths


def _wants_colour(
    args: argparse.Namespace, stdout: TextIO, terminal: int | None
) -> bool:
    wish = args.config[settings.COLOR]
    if wish != "auto" or terminal is None:
        return bool(wish == "always")
    # https://no-color.org: what is not empty counts.
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _coloured(value: Any, text: str) -> str:
    if isinstance(value, State) and value.colour:
        return f"\x1b[{value.colour}m{text}\x1b[0m"
    return text


def lines(value: Any) -> list[str]:
    """A value of a ``key: value`` table: one line, or several."""
    if isinstance(value, str | int | float | None) or hasattr(
        value, "human_readable"
    ):
        # A text of several lines stays so, but steers no terminal.
        return [printable(each) for each in human(value).split("\n")]
    value = plain(value)
    if isinstance(value, dict):
        return [_pairs(value)]
    if value and all(isinstance(each, dict) for each in value):
        return [_pairs(each) for each in value]
    return [printable(", ".join(human(each) for each in value))]


def _pairs(table: dict[str, Any]) -> str:
    return "  ".join(
        f"{key}={printable(human(value))}"
        for key, value in table.items()
        if value is not None
    )
