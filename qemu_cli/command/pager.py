"""Showing what is long through a pager, as git does."""

import contextlib
import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TextIO

from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.settings import PAGER, PAGER_OF, parse_yes_no

if TYPE_CHECKING:
    from qemu_cli.app import QemuApp


@contextmanager
def paged(app: "QemuApp", command: str, by_default: bool) -> Iterator[None]:
    """Send what goes to stdout, a terminal, through the pager if it is long.

    Who leaves the pager early has seen enough: that is no error.

    :param command: its words, for ``pager.COMMAND``
    :param by_default: what holds where that says nothing
    :raise UsageError: the pager can't be run
    """
    program = _program(app, command, by_default)
    if program is None:
        yield
        return
    terminal = app.stdout
    pager = LazyPager(terminal, program)
    app.stdout = sys.stdout = pager
    try:
        yield
    except BrokenPipeError:
        if not pager.is_running:
            raise
    finally:
        app.stdout = sys.stdout = terminal
        pager.finish()


def _program(app: "QemuApp", command: str, by_default: bool) -> str | None:
    """The pager to run, or None for none."""
    if app.options.no_pager:
        return None
    try:
        return _configured(app, command, by_default)
    except QemuCliError:
        return None  # settings that can't be read: whoever needs them says so


def _configured(app: "QemuApp", command: str, by_default: bool) -> str | None:
    mine = app.config.below(PAGER_OF.name[:-1]).get(command.replace(" ", "."))
    if mine is not None:
        try:
            by_default = parse_yes_no(mine.text)
        except UsageError:
            return mine.text
    if not by_default:
        return None
    program = app.config[PAGER] or os.environ.get("PAGER") or _usual()
    return None if program == "cat" else program


def _usual() -> str:
    return "less" if shutil.which("less") else "cat"


class LazyPager(io.TextIOBase):
    """A stream that becomes a pager when it has more than fits.

    Who flushes it wants to be seen at once, and has no pager.

    :param terminal: where it goes otherwise
    :param program: the pager, as the shell would read it
    """

    def __init__(self, terminal: TextIO, program: str) -> None:
        self._terminal = terminal
        self._program = program
        self._held: list[str] = []
        self._columns, rows = shutil.get_terminal_size()
        self._room = rows - 1  # the shell's prompt wants a line
        self._pager: subprocess.Popen[str] | None = None
        self._is_direct = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the terminal."""
        return self._terminal.encoding

    @property
    def is_running(self) -> bool:
        """Whether there is a pager."""
        return self._pager is not None

    def isatty(self) -> bool:
        """It is one in the end."""
        return True

    def fileno(self) -> int:
        """The terminal's, whose width is asked for."""
        return self._terminal.fileno()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Hold it until it is known where it goes.

        :raise UsageError: the pager can't be run
        :raise BrokenPipeError: the person has left it
        """
        if self._pager is not None:
            assert self._pager.stdin is not None  # noqa: S101
            return self._pager.stdin.write(text)
        if self._is_direct:
            return self._terminal.write(text)
        self._held.append(text)
        self._room -= text.count("\n") + sum(
            max(0, len(line) - 1) // self._columns for line in text.split("\n")
        )
        if self._room < 0:
            self._start()
        return len(text)

    def flush(self) -> None:
        """Show what there is, now."""
        if self._pager is None:
            self._is_direct = True
            self._release(self._terminal)
            self._terminal.flush()

    def finish(self) -> None:
        """Wait until the person has seen enough, whatever Ctrl-C says."""
        if self._pager is None:
            self._release(self._terminal)
            return
        assert self._pager.stdin is not None  # noqa: S101
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with contextlib.suppress(BrokenPipeError):
                self._pager.stdin.close()
            self._pager.wait()
        finally:
            signal.signal(signal.SIGINT, before)

    def _start(self) -> None:
        """Run the pager.

        ``less`` leaves at once when all fits on the screen after all, and
        lets colours through (LESS=FRX, unless it is set).
        """
        self._terminal.flush()
        try:
            self._pager = subprocess.Popen(
                shlex.split(self._program),
                stdin=subprocess.PIPE,
                text=True,
                encoding=self.encoding,
                errors="backslashreplace",
                env={"LESS": "FRX", "LV": "-c", **os.environ},
            )
        except (OSError, ValueError) as error:
            self._is_direct = True
            self._held.clear()
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"the pager '{self._program}' can't be run: {reason}",
                hint="'qemu config set core.pager cat' does without",
            ) from error
        assert self._pager.stdin is not None  # noqa: S101
        self._release(self._pager.stdin)

    def _release(self, stream: IO[str]) -> None:
        held, self._held = self._held, []
        stream.write("".join(held))
