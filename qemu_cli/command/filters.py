"""``--filter KEY OP VALUE``: which rows are shown.

A value is read as its column is: ``memory_mib``, ``…_bytes`` and ``…_s``
take sizes and durations as other options do, a bare number is in the
column's own unit, and words are compared as people number them
(``7.10`` is above ``7.2``).
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from qemu_cli.columns import flat, plain
from qemu_cli.errors import UsageError
from qemu_cli.units import parse_duration, parse_size

_NUMBER = r"[+-]?[0-9]+(\.[0-9]+)?"
_TRUTH = {"yes": True, "true": True, "no": False, "false": False}

#: Operators that compare what has an order.
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}
OPERATORS = ("==", "!=", *_ORDERS, "~", "contains")

_MEANT = {"=": "did you mean ==?", "=~": "did you mean ~?"}


class Filter(NamedTuple):
    """One ``--filter``.

    :param key: a column
    :param operator: one of :data:`OPERATORS`
    :param text: what was typed
    """

    key: str
    operator: str
    text: str

    def check(self) -> None:
        """Find a mistake without a row, as far as the column's name tells.

        :raise UsageError: the text is nothing that the column can hold
        """
        number = self.key.endswith(("_mib", "_bytes", "_s", "_percent"))
        if number and self.text and self.operator not in ("~", "contains"):
            self._read(0)

    def keeps(self, value: Any) -> bool:
        """Is a row with this value in the column shown?

        :raise UsageError: the text is nothing that the column can hold
        """
        value = plain(value)
        if self.operator == "~":
            return re.search(self.text, flat(value)) is not None
        if self.operator == "contains":
            return _contains(value, self.text)
        if self.operator == "!=":
            return not self._equals(value)
        if self.operator == "==":
            return self._equals(value)
        if value is None:
            return False
        order = _ORDERS[self.operator]
        if isinstance(value, int | float):
            return order(value, self._read(value))
        return order(_natural(flat(value)), _natural(self.text))

    def _equals(self, value: Any) -> bool:
        if isinstance(value, int | float) and self.text:
            return bool(value == self._read(value))
        return flat(value) == self.text

    def _read(self, like: bool | int | float) -> bool | float:
        """The text as a number of the column's unit, or as yes or no."""
        if isinstance(like, bool):
            if self.text in _TRUTH:
                return _TRUTH[self.text]
            raise UsageError(
                f"--filter {self.key}: not yes or no: {self.text}"
            )
        if re.fullmatch(_NUMBER, self.text):
            return float(self.text) if "." in self.text else int(self.text)
        if self.key.endswith("_percent"):
            return self._percent()
        if self.key.endswith("_mib"):
            return parse_size(self.text) / 2**20
        if self.key.endswith("_bytes_s"):
            return parse_size(self.text.removesuffix("/s"))
        if self.key.endswith("_bytes"):
            return parse_size(self.text)
        if self.key.endswith("_s"):
            return parse_duration(self.text)
        raise self._no_number()

    def _percent(self) -> float:
        number = self.text.removesuffix("%")
        if not re.fullmatch(_NUMBER, number):
            raise self._no_number()
        return float(number)

    def _no_number(self) -> UsageError:
        return UsageError(
            f"--filter {self.key} {self.operator} {self.text}: "
            f"not a number, which {self.key} is"
        )


def parse(words: Sequence[str]) -> Filter:
    """Make a filter of ``KEY OP VALUE``.

    :raise UsageError: no such operator, or no regular expression
    """
    key, operator, text = words
    if operator not in OPERATORS:
        raise UsageError(
            f"--filter: there is no operator {operator!r}; "
            f"known: {', '.join(OPERATORS)}",
            hint=_MEANT.get(operator)
            or "quote it, for the shell has a meaning of its own for "
            "<, > and ~: --filter name '~' '^web'",
        )
    if operator == "~":
        try:
            re.compile(text)
        except re.error as error:
            raise UsageError(
                f"--filter {key} ~ {text}: no regular expression: {error}"
            ) from None
    return Filter(key, operator, text)


def _contains(value: Any, text: str) -> bool:
    """A part of a text, or a member of what has members, however deep."""
    if isinstance(value, dict):
        return any(_has(each, text) for each in value.values())
    if isinstance(value, list):
        return any(_has(each, text) for each in value)
    return text in flat(value)


def _has(value: Any, text: str) -> bool:
    if isinstance(value, dict | list):
        return _contains(value, text)
    return flat(value) == text


def _natural(text: str) -> list[tuple[int, int | str]]:
    """Its runs of digits as numbers: ``web10`` comes after ``web9``."""
    return [
        (0, int(part)) if part.isdigit() and part.isascii() else (1, part)
        for part in re.split(r"([0-9]+)", text)
        if part
    ]
