"""Bare values, for ``$(…)`` and ``read`` in shell scripts."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from qemu_cli.columns import flat


class Value:
    """No header and no names; nested data is JSON."""

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write one line for each row, its values parted by tabs."""
        for row in data:
            stdout.write("\t".join(_one_line(v) for v in row) + "\n")

    def emit_one(
        self,
        column_names: Sequence[str],
        data: Sequence[Any],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write each value on a line of its own."""
        for value in data:
            stdout.write(_one_line(value) + "\n")


def _one_line(value: Any) -> str:
    """A tab or newline in the data must not look like ours."""
    return flat(value).translate({9: "\\t", 10: "\\n", 13: "\\r"})
