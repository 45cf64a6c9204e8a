"""Our own stdin and stdout, without standing still at either."""

import asyncio
import os
import select
from typing import Protocol

#: A pipe that can be written to takes this without blocking (pipe(7)).
_PIPE_BUF = 4096


class Source(Protocol):
    """Where a program in the guest has its input from."""

    def take(self, size: int) -> bytes | None:
        """What there is, at most so much; None: nothing now; b"": its end."""

    async def wait(self, timeout_s: float) -> None:
        """Return when there is something, or the time is over."""


class Sink(Protocol):
    """Where what a program in the guest writes goes to."""

    async def write(self, data: bytes) -> None:
        """Take all of it."""


class Nothing:
    """No input."""

    def take(self, size: int) -> bytes | None:
        """The end."""
        return b""

    async def wait(self, timeout_s: float) -> None:
        """Wait for the time to be over."""
        await asyncio.sleep(timeout_s)


class Input:
    """A file descriptor to read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def take(self, size: int) -> bytes | None:
        """What there is."""
        data = b""
        while len(data) < size and self._is_ready():
            piece = os.read(self._descriptor, size - len(data))
            if not piece:
                return data  # the end is told the next time, too
            data += piece
        return data or None

    async def wait(self, timeout_s: float) -> None:
        """Return when there is something, or the time is over."""
        if self._is_ready():
            return
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._descriptor, ready.set)
        try:
            async with asyncio.timeout(timeout_s):
                await ready.wait()
        except TimeoutError:
            return
        finally:
            loop.remove_reader(self._descriptor)

    def _is_ready(self) -> bool:
        return bool(select.select([self._descriptor], [], [], 0)[0])


class Output:
    """A file descriptor to write to; a reader may be slow, or Ctrl-C come."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def write(self, data: bytes) -> None:
        """Write all of it.

        :raise BrokenPipeError: nobody reads it
        """
        rest = memoryview(data)
        while rest:
            if not select.select([], [self._descriptor], [], 0)[1]:
                await self._room()
            rest = rest[os.write(self._descriptor, rest[:_PIPE_BUF]) :]

    async def _room(self) -> None:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_writer(self._descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._descriptor)


class Memory:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, data: bytes) -> None:
        """Keep it."""
        self.data += data
