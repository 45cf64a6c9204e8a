"""Reading what an image holds, or held at an internal snapshot.

qemu-nbd serves it, to us alone, and ends when we leave.  Nothing is
locked: a VM may be writing to the image.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from qemu_cli.errors import ToolError
from qemu_cli.steps import run_tool
from qemu_cli.storage import storage_daemon
from qemu_cli.storage.nbd_client import NbdReader, connected
from qemu_cli.storage.ranges import Range, union

#: How often we look whether qemu-nbd listens.
_LOOK_S = 0.01

_NAME = "disk"


class Content(NamedTuple):
    """What is to be read.

    :param tag: an internal snapshot; None: what the image holds now
    """

    file: Path
    format: str
    tag: str | None = None


class Opened(NamedTuple):
    """What can be read now.

    :param data: where something else than zeros may be
    """

    reader: NbdReader
    data: list[Range]

    async def read(self, part: Range) -> bytes:
        """Read a part; behind the end are zeros.

        :raise QemuCliError: it can't be read
        """
        end = min(part.end_bytes, self.reader.size_bytes)
        length = max(0, end - part.start_bytes)
        data = b""
        if length:
            data = await self.reader.read(part.start_bytes, length)
        return data.ljust(part.length_bytes, b"\0")


@asynccontextmanager
async def opened(
    qemu_nbd: str, qemu_img: str, content: Content
) -> AsyncIterator[Opened]:
    """Open an image for reading.

    :raise ToolError: qemu-nbd can't; with its words
    """
    with tempfile.TemporaryDirectory(prefix="qemu-cli-") as directory:
        socket, pid_file = Path(directory, "nbd"), Path(directory, "pid")
        argv = storage_daemon.reader_argv(
            qemu_nbd,
            content.file,
            content.format,
            content.tag,
            name=_NAME,
            socket=socket,
            pid_file=pid_file,
        )
        server = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            await _listens(server, pid_file)
            async with connected(socket, _NAME) as reader:
                yield Opened(reader, await _data(qemu_img, socket))
        finally:
            # It only reads.  On SIGTERM it may wait for a client for ever
            # that has just left (seen: 7.2.22).
            with suppress(ProcessLookupError):
                server.kill()
            await server.wait()


async def _listens(server: asyncio.subprocess.Process, pid_file: Path) -> None:
    """Wait until qemu-nbd listens; its socket is there before it does."""
    while not pid_file.exists():
        if server.returncode is not None:
            assert server.stderr is not None  # noqa: S101
            words = (await server.stderr.read()).decode(errors="replace")
            raise ToolError(f"qemu-nbd failed: {words.strip()}")
        await asyncio.sleep(_LOOK_S)


async def _data(qemu_img: str, socket: Path) -> list[Range]:
    uri = f"nbd+unix:///{_NAME}?socket={quote(str(socket))}"
    argv = (qemu_img, "map", "--output=json", "-f", "raw", uri)
    entries: Sequence[dict[str, int]] = json.loads(await run_tool(argv))
    return union(
        Range(entry["start"], entry["length"])
        for entry in entries
        if not entry["zero"]
    )
