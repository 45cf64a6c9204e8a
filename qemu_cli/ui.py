"""Talk: everything for people's eyes goes to stderr, through here."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TextIO

from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.progress import Bars, Unit


def printable(text: str) -> str:
    """Escape what would steer a terminal: a guest may have written it."""
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable()
        else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


class UI:
    """What a command says to the person before the terminal.

    :param stdin: where answers come from
    :param stderr: where the talk goes
    :param level: 0 quiet, 1 normal, 2 and more verbose
    """

    def __init__(self, stdin: TextIO, stderr: TextIO, level: int = 1) -> None:
        self._stdin = stdin
        self._stderr = stderr
        self._bars = Bars(stderr)
        self.level = level
        #: Tells whether a hint is wanted, by its word in ``advice.*``.
        self.wants: Callable[[str], bool] = lambda name: True

    def _line(self, text: str) -> None:
        self._bars.wipe()
        for line in text.splitlines() or [""]:
            self._stderr.write(printable(line) + "\n")
        self._stderr.flush()

    def say(self, text: str) -> None:
        """Tell of a success or of progress; ``-q`` hides it."""
        if self.level > 0:
            self._line(text)

    def detail(self, text: str) -> None:
        """Tell what only ``-v`` wants to know."""
        if self.level > 1:
            self._line(text)

    def warn(self, text: str) -> None:
        """Tell of something that is wrong but stops nothing."""
        self._line(f"qemu: warning: {text}")

    def error(self, text: str) -> None:
        """Tell what failed."""
        self._line(f"qemu: error: {text}")

    def hint(self, text: str) -> None:
        """Tell what to do about an error; ``advice.errors`` hides it."""
        if self.wants("errors"):
            self._line(f"hint: {text}")

    def advise(self, name: str, text: str) -> None:
        """Tell what to do next, and how to be told no more.

        :param name: a word of ``settings.ADVICE``
        """
        if self.level > 0 and self.wants(name):
            self._line(f"hint: {text}")
            self._line(
                f"hint: ('qemu config set advice.{name} no' hides this)"
            )

    @property
    def interactive(self) -> bool:
        """Whether there is somebody who can be asked."""
        return self._stdin.isatty() and self._stderr.isatty()

    def confirm(self, question: str, yes: bool) -> None:
        """Return when the person agrees.

        :param question: without the question mark, such as
            ``delete web and its disks``
        :param yes: agreed on the command line (``--yes``)
        :raise UsageError: nobody to ask, and no ``--yes``
        :raise QemuCliError: the answer was not yes
        """
        if yes:
            return
        if not self.interactive:
            raise UsageError(
                f"{question}: not without --yes, as there is no terminal "
                "to ask on"
            )
        self._bars.wipe()
        self._stderr.write(f"{printable(question)}? [y/N] ")
        self._stderr.flush()
        try:
            answer = self._stdin.readline()
        except KeyboardInterrupt:
            self._stderr.write("\n")  # the shell's prompt has its own line
            raise
        if answer.strip().lower() not in ("y", "yes"):
            raise QemuCliError(f"{question}: not confirmed")

    @contextlib.contextmanager
    def progress(
        self, label: str, unit: Unit = ""
    ) -> Iterator[Callable[[int, int], None]]:
        """Show how far something is, on a terminal only.

        Yields a function of (done, total); a total of 0 is not known yet.
        Each has a line, which is wiped at the end; what is done at once has
        none.

        :param unit: ``B``: what is counted are bytes, and the rate is
            worth showing
        """
        if self.level < 1 or not self._stderr.isatty():
            yield lambda done, total: None
            return
        with self._bars.bar(printable(label), unit) as show:
            yield show


class Warnings(logging.Handler):
    """Tells the person what our own layers below can only log."""

    def __init__(self, ui: UI) -> None:
        super().__init__(logging.WARNING)
        self._ui = ui

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of one."""
        self._ui.warn(record.getMessage())
