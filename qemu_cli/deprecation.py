"""How something leaves the API of plug-ins: slowly, and with a warning.

What is to go stays until the first number of the API's version grows, and
warns whoever uses it until then::

    @deprecated(since="1.2", use="Result")
    def outcome(text): …

    __getattr__ = renamed(__name__, {"Outcome": "Result"}, since="1.2")

Python shows the warnings in tests (pytest) and with ``-W default``;
``qemu plugin doctor`` names what a plug-in uses while it is imported.
"""

import functools
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ApiDeprecationWarning(DeprecationWarning):
    """A plug-in uses what will be gone in the next version of the API."""


def deprecated(
    *, since: str, use: str
) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Mark a function or a method.

    :param since: the version of the API that deprecates it
    :param use: what to use instead, in a few words
    """

    def mark(function: Callable[_P, _T]) -> Callable[_P, _T]:
        name = f"{function.__module__}.{function.__qualname__}"

        @functools.wraps(function)
        def warned(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            _warn(name, since, use)
            return function(*args, **kwargs)

        return warned

    return mark


def renamed(
    module: str, names: Mapping[str, str], *, since: str
) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a module whose names have changed.

    :param names: the new name of each old one
    :param since: the version of the API that renamed them
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(
                f"module {module!r} has no attribute {name!r}"
            )
        _warn(f"{module}.{name}", since, f"{module}.{names[name]}")
        return getattr(sys.modules[module], names[name])

    return find


def _warn(name: str, since: str, use: str) -> None:
    gone = int(since.partition(".")[0]) + 1
    warnings.warn(
        f"{name} is deprecated since API {since}, and gone in {gone}.0: "
        f"use {use}",
        ApiDeprecationWarning,
        stacklevel=3,
    )
