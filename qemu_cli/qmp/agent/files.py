"""Files in the guest: ``guest-file-*``."""

import base64
import binascii
import collections
from collections.abc import AsyncIterator
from typing import Any, Literal

from qemu_cli.errors import QemuCliError
from qemu_cli.qmp.agent.conversation import (
    REPLY_TIMEOUT_S,
    Conversation,
    Question,
    limited,
)

#: What one reply brings, in bytes.  Base64 in JSON is slow to make for the
#: agent; this much keeps the pauses between replies small beside that.
READ_BYTES = 256 << 10

#: What one command takes, in bytes.
WRITE_BYTES = 1 << 20

#: So many reads are under way at the same time.
_AHEAD = 3

#: fseek(3)
Whence = Literal["set", "cur", "end"]


class Files(Conversation):
    """What the agent does with files.

    A handle is the agent's, not the connection's: it stays open until it
    is closed or the agent ends.
    """

    async def open_file(self, path: str, mode: str = "r") -> int:
        """Open a file in the guest.

        :param mode: as in fopen(3): ``r``, ``w``, ``a``, with ``+``
        :return: a handle
        :raise RefusedError: it can't be opened; says why
        """
        arguments = {"path": path, "mode": mode}
        return int(await self.execute("guest-file-open", arguments))

    async def close_file(self, handle: int) -> None:
        """Close a file; what was written is with the guest's kernel then.

        :raise RefusedError: it could not all be written
        """
        await self.execute("guest-file-close", {"handle": handle})

    async def read_file(
        self, handle: int, size_bytes: int = READ_BYTES
    ) -> bytes:
        """Read from a file; nothing: it has no more now."""
        arguments = {"handle": handle, "count": size_bytes}
        return _read(await self.execute("guest-file-read", arguments))

    async def read_blocks(
        self, handle: int, *, most: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield all that follows in a file, block by block.

        The agent reads the next while we are busy with one.

        :param most: so many blocks are enough; fewer: that was the end
        """
        asked: collections.deque[Question] = collections.deque()
        arguments = {"handle": handle, "count": READ_BYTES}
        at_end, left = False, most
        while asked or not (at_end or left == 0):
            while not (at_end or left == 0) and len(asked) < _AHEAD:
                left = left and left - 1
                asked.append(await self.ask("guest-file-read", arguments))
            async with limited("guest-file-read", REPLY_TIMEOUT_S):
                block = _read(await self.reply(asked.popleft()))
            at_end = at_end or not block
            if block:
                yield block

    async def write_file(self, handle: int, data: bytes) -> None:
        """Write all of it.

        :raise RefusedError: it can't be written; says why
        """
        rest = memoryview(data)
        while rest:
            piece = rest[:WRITE_BYTES]
            done = await self.execute(
                "guest-file-write",
                {
                    "handle": handle,
                    "buf-b64": base64.b64encode(piece).decode("ascii"),
                },
            )
            rest = rest[done["count"] :]

    async def seek_file(
        self, handle: int, offset: int, whence: Whence = "set"
    ) -> int:
        """Go to a place in a file; return where that is."""
        arguments = {"handle": handle, "offset": offset, "whence": whence}
        place = await self.execute("guest-file-seek", arguments)
        return int(place["position"])

    async def flush_file(self, handle: int) -> None:
        """Hand what was written to the guest's kernel.

        :raise RefusedError: it can't be written; says why
        """
        await self.execute("guest-file-flush", {"handle": handle})


def _read(reply: Any) -> bytes:
    try:
        data = base64.b64decode(reply["buf-b64"], validate=True)
    except binascii.Error:
        data = b""
    if len(data) != reply["count"]:
        raise QemuCliError("guest-file-read: the guest agent's data is cut")
    return data
