"""Reading from an NBD server, no more (NBD protocol, doc/proto.md)."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from qemu_cli.errors import ConnectionLostError, QemuCliError

_GREETING = struct.Struct(">8s8sH")
_OPTION = struct.Struct(">8sII")  # magic, option, length
_REPLY = struct.Struct(">QIII")  # magic, option, type, length
_EXPORT = struct.Struct(">HQH")  # information, size, flags
_REQUEST = struct.Struct(">IHHQQI")  # magic, flags, type, cookie, from, length
_ANSWER = struct.Struct(">IIQ")  # magic, error, cookie

_HAVE_OPTION = b"IHAVEOPT"
_FIXED_NO_ZEROES = 3
_GO = 7
_ACK, _INFO, _ERROR = 1, 3, 1 << 31
_INFO_EXPORT = 0
_REQUEST_MAGIC = 0x25609513
_ANSWER_MAGIC = 0x67446698


class NbdReader:
    """A client of one export.

    :param size_bytes: of the export
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        size_bytes: int,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self.size_bytes = size_bytes

    async def read(self, start_bytes: int, length_bytes: int) -> bytes:
        """Read a part; one at a time.

        :raise QemuCliError: it can't be read
        :raise ConnectionLostError: the server has gone
        """
        self._writer.write(
            _REQUEST.pack(
                *(_REQUEST_MAGIC, 0, 0, 0, start_bytes, length_bytes)
            )
        )
        magic, error, _ = _ANSWER.unpack(
            await _exactly(self._reader, _ANSWER.size)
        )
        if magic != _ANSWER_MAGIC:
            raise QemuCliError("the NBD server does not speak NBD")
        if error:
            raise QemuCliError(
                f"{length_bytes} bytes at {start_bytes} can't be read: error "
                f"{error}"
            )
        return await _exactly(self._reader, length_bytes)


@asynccontextmanager
async def connected(socket: Path, name: str) -> AsyncIterator[NbdReader]:
    """Connect to an export of a server on a unix socket.

    :raise OSError: nobody listens
    :raise QemuCliError: there is no such export
    """
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        yield NbdReader(reader, writer, await _negotiate(reader, writer, name))
    finally:
        writer.close()


async def _negotiate(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str
) -> int:
    """Choose an export; returns its size in bytes."""
    await _exactly(reader, _GREETING.size)
    data = struct.pack(">I", len(name)) + name.encode() + struct.pack(">H", 0)
    writer.write(struct.pack(">I", _FIXED_NO_ZEROES))
    writer.write(_OPTION.pack(_HAVE_OPTION, _GO, len(data)) + data)
    size_bytes = 0
    while True:
        _, _, kind, length = _REPLY.unpack(await _exactly(reader, _REPLY.size))
        data = await _exactly(reader, length)
        if kind & _ERROR:
            raise QemuCliError(f"there is no export '{name}'")
        if kind == _INFO and length == _EXPORT.size:
            info, size, _ = _EXPORT.unpack(data)
            if info == _INFO_EXPORT:
                size_bytes = size
        if kind == _ACK:
            return size_bytes


async def _exactly(reader: asyncio.StreamReader, length: int) -> bytes:
    try:
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError) as error:
        raise ConnectionLostError("the NBD server has gone") from error
