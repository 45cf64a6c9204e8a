"""The file in which QEMU says who it is (``-pidfile``)."""

import os
from pathlib import Path

#: Linux has pids up to 4194304.
_PID_DIGITS = 7


def read_pid(path: Path) -> tuple[int | None, bool]:
    """Read a pid file.

    :return: the pid, or None; and whether the file exists
    """
    try:
        # Three calls of the system instead of eight, for each VM.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(descriptor, 64)
        finally:
            os.close(descriptor)
    except OSError:
        return None, False
    digits = text.strip()
    is_pid = digits.isdigit() and len(digits) <= _PID_DIGITS
    return (int(digits) if is_pid else None), True
