"""Reading log files: their last lines, and what is added to them.

A log may be put aside or emptied while it is read: who follows it goes on
with the new one.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from qemu_cli.errors import BusyError, StateError
from qemu_cli.instance import history, rotation
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.qmp import lock
from qemu_cli.watch import watching

_BLOCK_BYTES = 65536


async def bound(host: Host, vm: VM) -> None:
    """Put the serial log of a running VM aside if it is over its limit.

    Not while another command changes the VM: that one does it.
    """
    now = asyncio.get_running_loop().time()
    with contextlib.suppress(BusyError, StateError):
        async with lock.locked(str(vm.paths.lock), host.who, now):
            rotation.while_running(host, vm.paths)


def boot_offset(paths: InstancePaths) -> int:
    """Where the serial log of the last start begins.

    If it was put aside or emptied since then, that is at its beginning.
    """
    run = history.last_run(paths)
    begin = int(run[0].get("serial_from", 0)) if run else 0
    return begin if begin <= rotation.size(paths.serial_log) else 0


def tail_offset(path: Path, lines: int | None) -> int:
    """Where the last lines of a file begin; None: all of them.

    A last line without an end counts.  A missing file begins at 0.
    """
    if lines is None:
        return 0
    try:
        with path.open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            return _offset(stream, end, lines) if lines > 0 else end
    except FileNotFoundError:
        return 0


def _offset(stream: BinaryIO, end: int, lines: int) -> int:
    wanted, at = lines, end
    while at > 0:
        size = min(_BLOCK_BYTES, at)
        at -= size
        stream.seek(at)
        block = stream.read(size)
        stop = len(block)
        if at + size == end and block.endswith(b"\n"):
            stop -= 1  # the end of the last line begins no other
        while (stop := block.rfind(b"\n", 0, stop)) >= 0:
            wanted -= 1
            if wanted == 0:
                return at + stop + 1
    return 0


def read(path: Path, offset: int) -> Iterator[bytes]:
    """Read a file from there to its end; a missing one is empty.

    :raise OSError: it may not be read
    """
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            while block := stream.read(_BLOCK_BYTES):
                yield block
    except FileNotFoundError:
        return


async def follow(path: Path, offset: int) -> AsyncIterator[bytes]:
    """Read a file from there on, and whatever is added to it.

    Ends when the directory is gone.  A file that does not exist yet is
    waited for.
    """
    if not path.parent.is_dir():
        return
    stream: BinaryIO | None = None
    try:
        with watching(path.parent) as watch:
            while True:
                if stream is None:
                    stream = _open(path, offset)
                    offset = 0  # where the next file is read from
                while stream and (block := stream.read(_BLOCK_BYTES)):
                    yield block
                if stream and _replaced(path, stream):
                    # Looked at after the last read: nothing is missed.
                    while block := stream.read(_BLOCK_BYTES):
                        yield block
                    stream.close()
                    stream = None
                    continue
                if not path.parent.is_dir():
                    return
                await watch.changed()
    finally:
        if stream:
            stream.close()


def _open(path: Path, offset: int) -> BinaryIO | None:
    try:
        stream = path.open("rb", buffering=0)
    except FileNotFoundError:
        return None
    stream.seek(offset)
    return stream


def _replaced(path: Path, stream: BinaryIO) -> bool:
    """Whether the name leads to another file now, or to a shorter one."""
    ours = os.fstat(stream.fileno())
    try:
        now = path.stat()
    except FileNotFoundError:
        return False  # put aside; the new one is not there yet
    another = (now.st_dev, now.st_ino) != (ours.st_dev, ours.st_ino)
    return another or now.st_size < stream.tell()
