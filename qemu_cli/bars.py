"""Bars on a terminal: the only user of rich, whose import takes a while.

Rates and sizes are ours, in powers of 1024: rich counts in thousands.
"""

import os
import time
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

#: Nobody reads faster, in seconds; and a drawing takes a millisecond.
_REFRESH_S = 0.1

#: How long a bar is, and how long on a narrow terminal.
_BAR_COLUMNS = 20
_SHORT_BAR_COLUMNS = 6
_NARROW_COLUMNS = 72

#: What a label leaves: "100 %, 1023.9 MiB/s, 59m 59s left", and blanks.
_TEXT_COLUMNS = 35
_LABEL_LEAST = 8


class _Console(Console):
    """One that leaves the cursor alone: we may be killed at any moment."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


class Screen:
    """The bars that are seen now."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # Whoever makes this has seen that it is a terminal.
        self._console = _Console(
            file=stream, force_terminal=True, highlight=False
        )
        # No thread of its own, and nobody's stdout replaced.
        self._bar = BarColumn(_BAR_COLUMNS)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            self._bar,
            TextColumn("{task.fields[text]}", markup=False),
            console=self._console,
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[object, TaskID] = {}
        self._drawn_s = 0.0

    def show(
        self, key: object, label: str, done: int, total: int, text: str
    ) -> None:
        """Draw a bar, or draw it further.

        :param key: the same for the same thing
        :param total: 0: not known
        :param text: how fast, and how long still
        """
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task("", text=text)
            self._drawn_s = 0.0
        now = time.monotonic()
        room = self._fit()
        if len(label) > room:
            label = f"{label[: room - 1]}…"
        self._progress.update(
            self._tasks[key],
            description=label,
            completed=done,
            total=total or None,
            text=text,
        )
        if now - self._drawn_s >= _REFRESH_S:
            self._drawn_s = now
            self._progress.start()
            self._progress.refresh()

    def remove(self, key: object) -> None:
        """Draw one no more; the last one leaves nothing behind."""
        task = self._tasks.pop(key, None)
        if task is None:
            return
        self._progress.remove_task(task)
        if self._tasks:
            self._progress.refresh()
        else:
            self.wipe()

    def wipe(self) -> None:
        """Leave the line where the first bar was to somebody else."""
        self._progress.stop()
        self._drawn_s = 0.0

    def _fit(self) -> int:
        """Take the width that the terminal has now; what a label may have."""
        size = os.get_terminal_size(self._stream.fileno())
        if size.columns and size.lines:
            self._console.size = size
        width = self._console.size.width
        narrow = width < _NARROW_COLUMNS
        bar = _SHORT_BAR_COLUMNS if narrow else _BAR_COLUMNS
        self._bar.bar_width = bar
        return max(_LABEL_LEAST, width - bar - _TEXT_COLUMNS)
