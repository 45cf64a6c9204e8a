"""Comma-separated values with a header (RFC 4180, but plain newlines)."""

import argparse
import csv
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from qemu_cli.columns import flat


class Csv:
    """A header and one line for each row; nested data is JSON."""

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write the header and all rows."""
        writer = csv.writer(stdout, lineterminator="\n")
        writer.writerow(column_names)
        writer.writerows([flat(value) for value in row] for row in data)

    def emit_one(
        self,
        column_names: Sequence[str],
        data: Sequence[Any],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write the header and one row."""
        self.emit_list(column_names, [data], stdout, parsed_args)
