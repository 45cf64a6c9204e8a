"""The standard streams, when they are not what a program expects."""

import os
import sys


def give_up_stdout() -> None:
    """Python flushes once more when it leaves; let that do no harm."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def open_closed() -> None:
    """Put /dev/null where the caller closed a standard stream.

    Otherwise the next file or socket opened would become our stdout.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            # The lowest free number: that of the stream itself.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))
        elif number == 1 and stream.errors == "strict":
            # Data is never a reason to fail half-way through a table.
            stream.reconfigure(errors="backslashreplace")
        elif number == 1 and stream.errors == "surrogateescape":
            # The locale C: Python takes it for ASCII, and we have arrows.
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
