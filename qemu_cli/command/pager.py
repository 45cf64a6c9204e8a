"""Showing what is long through a pager, as git does."""

import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qemu_cli.errors import UsageError
from qemu_cli.settings import PAGER

if TYPE_CHECKING:
    from qemu_cli.app import QemuApp


@contextmanager
def paged(app: "QemuApp") -> Iterator[None]:
    """Send stdout through the pager, if it is a terminal.

    ``less`` leaves at once when all fits on the screen, and lets colours
    through (LESS=FRX, unless it is set).  Who leaves the pager early has
    seen enough: that is no error.

    :raise UsageError: the pager can't be run
    """
    command = app.config[PAGER] or os.environ.get("PAGER") or _usual()
    if not app.stdout.isatty() or command == "cat":
        yield
        return
    try:
        pager = subprocess.Popen(
            shlex.split(command),
            stdin=subprocess.PIPE,
            text=True,
            encoding=app.stdout.encoding,
            errors="backslashreplace",
            env={"LESS": "FRX", "LV": "-c", **os.environ},
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"the pager '{command}' can't be run: {reason}",
            hint="'qemu config set pager cat' does without",
        ) from error
    assert pager.stdin is not None  # noqa: S101
    terminal, app.stdout = app.stdout, pager.stdin
    try:
        yield
    except BrokenPipeError:
        pass
    finally:
        app.stdout = terminal
        _leave(pager)


def _usual() -> str:
    return "less" if shutil.which("less") else "cat"


def _leave(pager: "subprocess.Popen[str]") -> None:
    """Wait until the person has seen enough, whatever Ctrl-C says."""
    assert pager.stdin is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError):
        pager.stdin.close()
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            pager.wait()
            return
