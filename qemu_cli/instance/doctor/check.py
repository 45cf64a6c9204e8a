"""The outcome of one check."""

from collections.abc import Callable, Coroutine
from typing import Any, Literal, NamedTuple

from qemu_cli.instance.host import Host


class Check(NamedTuple):
    """One thing that was looked at.

    :param check: what was looked at
    :param detail: what was found
    :param fix: what to do about it, or None
    """

    check: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    fix: str | None = None


Checker = Callable[[Host], Coroutine[Any, Any, list[Check]]]


def ok(check: str, detail: str) -> Check:
    """All is well."""
    return Check(check, "ok", detail)


def warn(check: str, detail: str, fix: str | None = None) -> Check:
    """Something is missing or slow, and the rest works."""
    return Check(check, "warn", detail, fix)


def fail(check: str, detail: str, fix: str | None = None) -> Check:
    """Something does not work that should work everywhere."""
    return Check(check, "fail", detail, fix)
