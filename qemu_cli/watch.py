"""Sleep until something changes in a directory (inotify(7)).

Nothing of Python's own does that.  What another host writes to a network
file system is not seen, so waits are bounded.
"""

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from qemu_cli.errors import QemuCliError

_IN_MODIFY = 0x2
_IN_MOVED_FROM = 0x40
_IN_MOVED_TO = 0x80
_IN_CREATE = 0x100
_IN_DELETE = 0x200
_IN_DELETE_SELF = 0x400
_IN_ONLYDIR = 0x1000000

_CHANGES = (
    _IN_MODIFY
    | _IN_MOVED_FROM
    | _IN_MOVED_TO
    | _IN_CREATE
    | _IN_DELETE
    | _IN_DELETE_SELF
)

#: wd, mask, cookie, and how long the name is that follows.
_EVENT = struct.Struct("iIII")

#: A change that was not seen is found after this.
BOUND_S = 1.0


class Watch:
    """Tells which entries of one directory have changed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def changed(self, timeout_s: float = BOUND_S) -> frozenset[str]:
        """Wait for changes.

        :return: names of entries; empty: the time is over, the directory
            itself is gone, or there were too many to tell
        """
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._descriptor, readable.set)
        try:
            async with asyncio.timeout(timeout_s):
                await readable.wait()
        except TimeoutError:
            return frozenset()
        finally:
            loop.remove_reader(self._descriptor)
        return frozenset(_names(os.read(self._descriptor, 1 << 16)))


@contextlib.contextmanager
def watching(directory: Path) -> Iterator[Watch]:
    """Watch a directory from now on.

    :raise QemuCliError: it is gone, or the user watches too much
    """
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    if descriptor < 0:
        raise _failure(directory)
    try:
        name = os.fsencode(directory)
        mask = ctypes.c_uint32(_CHANGES | _IN_ONLYDIR)
        if libc.inotify_add_watch(descriptor, name, mask) < 0:
            raise _failure(directory)
        yield Watch(descriptor)
    finally:
        os.close(descriptor)


def _failure(directory: Path) -> QemuCliError:
    words = os.strerror(ctypes.get_errno())
    return QemuCliError(f"{directory} can't be watched: {words}")


def _names(data: bytes) -> Iterator[str]:
    offset = 0
    while offset < len(data):
        *_, length = _EVENT.unpack_from(data, offset)
        offset += _EVENT.size
        name = data[offset : offset + length].rstrip(b"\0")
        offset += length
        if name:
            yield os.fsdecode(name)
