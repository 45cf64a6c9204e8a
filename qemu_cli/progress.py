"""How far things are, and how fast; on a terminal, a line for each."""

import collections
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, TextIO

from qemu_cli.units import format_duration, format_size

if TYPE_CHECKING:
    from qemu_cli.bars import Screen

#: How far back a rate looks, in seconds: what a disk does changes.
_WINDOW_S = 10.0
#: A rate over less time says nothing, in seconds.
_LEAST_S = 0.2
#: What is done before that is not worth a bar, in seconds.
_PATIENCE_S = 0.2

Unit = Literal["", "B"]


class Pace:
    """How fast something goes, from what is seen of it now and then."""

    def __init__(self) -> None:
        self._seen: collections.deque[tuple[float, int]] = collections.deque()

    def add(self, done: int, *, at: float | None = None) -> None:
        """Take note of how far it is.

        :param at: when, in seconds of the monotonic clock; None: now
        """
        now = time.monotonic() if at is None else at
        self._seen.append((now, done))
        while now - self._seen[1 % len(self._seen)][0] > _WINDOW_S:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """Units a second; None when it is not known."""
        if not self._seen:
            return None
        (then, before), (now, done) = self._seen[0], self._seen[-1]
        if now - then < _LEAST_S or done < before:
            return None
        return (done - before) / (now - then)

    def left_s(self, done: int, total: int) -> float | None:
        """How long the rest will take; None when it is not known."""
        rate = self.rate
        return (total - done) / rate if rate and total >= done else None


class Bars:
    """All that goes on at the same time, a line each, drawn by rich.

    rich is imported when something has taken so long that there is
    something to show: most things are done before.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._screen: Screen | None = None

    @contextlib.contextmanager
    def bar(
        self, label: str, unit: Unit
    ) -> Iterator[Callable[[int, int], None]]:
        """Show one more thing for the length of the block."""
        pace, key = Pace(), object()
        begun = time.monotonic()

        def show(done: int, total: int) -> None:
            now = time.monotonic()
            pace.add(done, at=now)
            if now - begun >= _PATIENCE_S:
                text = _text(done, total, unit, pace)
                self._drawn().show(key, label, done, total, text)

        try:
            yield show
        finally:
            if self._screen:
                self._screen.remove(key)

    def wipe(self) -> None:
        """Make room for a line of text; bars are drawn again below it."""
        if self._screen:
            self._screen.wipe()

    def _drawn(self) -> "Screen":
        if self._screen is None:
            from qemu_cli.bars import Screen

            self._screen = Screen(self._stream)
        return self._screen


def _text(done: int, total: int, unit: Unit, pace: Pace) -> str:
    parts = [f"{100 * done // total:3d} %" if total > 0 else "  …"]
    if unit == "B" and pace.rate:
        parts.append(f"{format_size(round(pace.rate))}/s")
    left_s = pace.left_s(done, total)
    if left_s is not None and total > done:
        parts.append(f"{format_duration(max(1, left_s))} left")
    return ", ".join(parts)
