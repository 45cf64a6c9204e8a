"""A file that QEMU writes and we read, and that does not grow meanwhile.

A FIFO would not do: when nobody reads it QEMU waits, and its guest too.
"""

import contextlib
import ctypes
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from qemu_cli.instance.vm import VM

#: fallocate(2): free the room, and leave the size.
_PUNCH_HOLE = 0x02 | 0x01

_PIECE_BYTES = 1 << 20


def make(stack: contextlib.AsyncExitStack, vm: VM) -> Path:
    """Make one; it is removed at the end of ``stack``."""
    descriptor, name = tempfile.mkstemp(".pcap", dir=vm.paths.runtime)
    os.close(descriptor)
    file = Path(name)
    stack.callback(file.unlink, missing_ok=True)
    return file


def pass_on(reader: IO[bytes], write: Callable[[bytes], object]) -> None:
    """Pass on what has come, and give its room back."""
    while data := reader.read(_PIECE_BYTES):
        write(data)
        _free(reader)


def _free(reader: IO[bytes]) -> None:
    """Free what was read; a file system that can't do it, does not."""
    libc = ctypes.CDLL(None)
    free = getattr(libc, "fallocate64", None) or libc.fallocate
    end = ctypes.c_int64(reader.tell())
    free(reader.fileno(), _PUNCH_HOLE, ctypes.c_int64(0), end)
