"""Values with two faces: one for people, one for programs.

A table shows ``2.0 GiB``, JSON says 2147483648.  Commands put these into
their rows; anything else is shown as it is.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from cliff.columns import FormattableColumn

from qemu_cli.units import format_duration, format_rate, format_size

__all__ = (
    "Duration",
    "Named",
    "Names",
    "Percent",
    "Rate",
    "Size",
    "State",
    "human",
    "plain",
)

#: How :class:`State` is coloured on a terminal: SGR codes (ECMA-48).
_COLOURS = {
    "running": "32",
    "starting": "33",
    "paused": "33",
    "busy": "33",
    "unresponsive": "31",
    "crashed": "31",
    "broken": "31",
}


class Size(FormattableColumn[int | None]):
    """An amount of memory or storage.

    :param value: the number, or None when it is not known
    :param unit: how many bytes one of it is: ``Size(512, unit=2**20)``
    """

    def __init__(self, value: int | None, *, unit: int = 1) -> None:
        super().__init__(value)
        self._unit = unit

    def human_readable(self) -> str:
        """``512.0 MiB``."""
        if self._value is None:
            return ""
        return format_size(self._value * self._unit)


class Duration(FormattableColumn[float | None]):
    """A length of time in seconds, or None when it is not known."""

    def human_readable(self) -> str:
        """``3h 12m``."""
        return "" if self._value is None else format_duration(self._value)


class Rate(FormattableColumn[float | None]):
    """Bytes in a second, or None when it is not known."""

    def human_readable(self) -> str:
        """``1.5M/s``: short, for tables that have many of them."""
        return "" if self._value is None else format_rate(self._value)


class Percent(FormattableColumn[float | None]):
    """A share in hundredths, or None when it is not known."""

    def human_readable(self) -> str:
        """``12.5%``."""
        return "" if self._value is None else f"{self._value:.1f}%"


class State(FormattableColumn[str]):
    """The state of a VM, one of a closed list; coloured on a terminal."""

    def human_readable(self) -> str:
        """The word itself."""
        return self._value

    @property
    def colour(self) -> str | None:
        """The SGR code, or None for the terminal's own."""
        return _COLOURS.get(self._value)


class Names(FormattableColumn[Sequence[str]]):
    """Some words: ``a, b`` for people, a list for programs."""

    def human_readable(self) -> str:
        """Joined with commas."""
        return ", ".join(self._value)


class Named(FormattableColumn[Any]):
    """Any data for programs, with words of its own for people."""

    def __init__(self, value: Any, text: str) -> None:
        super().__init__(value)
        self._text = text

    def human_readable(self) -> str:
        """The words."""
        return self._text


def plain(value: Any) -> Any:
    """The face for programs: dicts, lists, strings, numbers, None."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, FormattableColumn):
        return plain(value.machine_readable())
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if hasattr(value, "_asdict"):  # a NamedTuple
        return plain(value._asdict())
    # A dataclass, or a msgspec.Struct, which need not be imported here.
    for fields in ("__dataclass_fields__", "__struct_fields__"):
        if hasattr(type(value), fields):
            return {
                name: plain(getattr(value, name))
                for name in getattr(type(value), fields)
            }
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"no plain form of {type(value).__name__}: {value!r}")


def human(value: Any) -> str:
    """The face for people, on one line."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, FormattableColumn):
        return value.human_readable()
    return flat(plain(value))


def flat(value: Any) -> str:
    """Plain data as one text, for formats that can't nest.

    A list of words is joined with commas; deeper things are JSON.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and all(
        isinstance(each, str | int | float) for each in value
    ):
        return ",".join(flat(each) for each in value)
    import json

    return json.dumps(value, ensure_ascii=False)
