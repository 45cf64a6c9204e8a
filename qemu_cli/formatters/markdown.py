"""Tables of Markdown, for an issue or a README (GitHub Flavored Markdown)."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from qemu_cli.columns import human
from qemu_cli.formatters.table import is_number, lines, title
from qemu_cli.ui import printable


class Markdown:
    """What a table shows, with units for people, between bars."""

    human = True

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write a header and a line for each row."""
        rows = [list(row) for row in data]
        stdout.write(_row(map(title, column_names)))
        columns = list(zip(*rows, strict=True)) or [()] * len(column_names)
        stdout.write(
            _row(
                "---:" if column and is_number(column) else "---"
                for column in columns
            )
        )
        for row in rows:
            stdout.write(_row(_cell(human(value)) for value in row))

    def emit_one(
        self,
        column_names: Sequence[str],
        data: Sequence[Any],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write a line for each name and value."""
        stdout.write(_row(("", "")) + _row(("---", "---")))
        for name, value in zip(column_names, data, strict=True):
            stdout.write(_row((title(name), _cell("\n".join(lines(value))))))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _cell(text: str) -> str:
    """A text that ends no cell and begins no element of HTML."""
    text = text.replace("\\", "\\\\").replace("|", "\\|")
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return "<br>".join(printable(each) for each in text.split("\n"))
