"""YAML 1.1, by PyYAML, in the order of the columns."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import yaml


class Yaml:
    """A sequence of mappings, or a mapping."""

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write all rows as one sequence."""
        rows = [dict(zip(column_names, row, strict=True)) for row in data]
        _dump(rows, stdout)

    def emit_one(
        self,
        column_names: Sequence[str],
        data: Sequence[Any],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write one mapping."""
        _dump(dict(zip(column_names, data, strict=True)), stdout)


def _dump(value: Any, stdout: TextIO) -> None:
    text = yaml.safe_dump(
        value, default_flow_style=False, sort_keys=False, allow_unicode=True
    )
    stdout.write(text)
