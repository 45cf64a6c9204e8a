"""Waiting for what comes true by itself."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def until(
    condition: Callable[[], _T], what: str = "", timeout_s: float = 60.0
) -> _T:
    """Wait until something is true, and return it.

    :param what: the test was waiting for, when it fails
    """
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return found
