"""JSON: a bare array or object; and one object a line."""

import argparse
import json
from collections.abc import Iterable, Sequence
from typing import Any, TextIO


def _ascii(stream: TextIO) -> bool:
    """Can the stream's encoding not take every character?"""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
    return not encoding.replace("-", "").startswith("utf")


def dump(value: Any, stream: TextIO, *, indent: int | None) -> None:
    """Write one JSON text and a newline.

    Names of files that are no UTF-8 are lone surrogates in Python, and
    have no form but an escape.
    """
    text = json.dumps(value, ensure_ascii=_ascii(stream), indent=indent)
    if not text.isascii():
        text = "".join(
            f"\\u{ord(each):04x}" if "\ud800" <= each <= "\udfff" else each
            for each in text
        )
    stream.write(text + "\n")


class Json:
    """An array of objects, or an object."""

    _indent: int | None = 2

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write all rows as one array."""
        rows = [dict(zip(column_names, row, strict=True)) for row in data]
        dump(rows, stdout, indent=self._indent)

    def emit_one(
        self,
        column_names: Sequence[str],
        data: Sequence[Any],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write one object."""
        row = dict(zip(column_names, data, strict=True))
        dump(row, stdout, indent=self._indent)


class Ndjson(Json):
    """One object a line."""

    _indent = None

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write each row on a line of its own."""
        for row in data:
            self.emit_one(column_names, row, stdout, parsed_args)
