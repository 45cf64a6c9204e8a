"""A lock on a VM or its control monitor, which names its holder.

An flock(2): it ends with the process that holds it, however that ends.
The file's content is for those who wait in vain.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import BusyError, StateError

#: How often those who wait look again.
RETRY_S = 0.02


class Holder(NamedTuple):
    """Who holds the lock."""

    pid: int
    command: str
    since: float  # seconds since the epoch

    def __str__(self) -> str:
        seconds = max(0, round(time.time() - self.since))
        return f"'{self.command}' (pid {self.pid}, for {seconds} s)"


@asynccontextmanager
async def locked(
    path: str, who: str, deadline: float, *, what: str = "the VM's monitor"
) -> AsyncIterator[None]:
    """Hold the lock for the length of the block.

    :param who: the command, for those who wait
    :param deadline: of the running loop's clock, in seconds
    :param what: what is locked, for those who wait in vain
    :raise BusyError: it is held until after the deadline; says by whom
    :raise StateError: the directory of the lock is gone
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise StateError(
            f"the VM's sockets are gone: no directory for {path}",
            hint="see 'qemu doctor'",
        ) from None
    try:
        await _take(fd, path, deadline, what)
        me = Holder(os.getpid(), who, time.time())
        os.ftruncate(fd, 0)
        with contextlib.suppress(OSError):  # a full disk: locked all the same
            os.pwrite(fd, json.dumps(me._asdict()).encode(), 0)
        yield
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def holder(path: str) -> Holder | None:
    """Read who holds the lock; None: nobody says so."""
    try:
        return Holder(**json.loads(Path(path).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


async def _take(fd: int, path: str, deadline: float, what: str) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if loop.time() >= deadline:
                raise BusyError(
                    f"{what} is busy: {holder(path) or 'another command'}",
                    hint="try again when that has ended",
                ) from None
        await asyncio.sleep(RETRY_S)
