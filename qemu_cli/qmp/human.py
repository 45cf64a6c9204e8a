"""A human monitor by itself, for a QEMU that has no QMP.

It prints a prompt, echoes what is typed, and answers with text
(util/readline.c, monitor/hmp.c); one client at a time, as QMP.  What our
commands need of it is translated here, and nothing else: what it says is
for people, and may be another in the next QEMU.
"""

import asyncio
import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from qemu_cli.errors import (
    ConnectionLostError,
    QemuCliError,
    TimedOutError,
    UsageError,
)
from qemu_cli.qmp import hmp
from qemu_cli.qmp.trace import Trace

_PROMPT = b"(qemu) "

#: More than any text: 'info mtree' of a large machine has one MiB.
_TEXT_MAX = 64 << 20

#: What works as it is, and answers nothing.
_SAME = frozenset(
    {"stop", "cont", "quit", "system_powerdown", "system_reset"}
    | {"system_wakeup"}
)

_STATUS = re.compile(
    r"VM status: (?P<word>running|paused)(?: \(single step mode\))?"
    r"(?: \((?P<why>[a-z-]+)\))?"
)


class HumanLink:
    """One connection to one human monitor.

    It does what a connection to QMP does, for a few commands.

    :param problem: says that there is no QMP; raised for all others
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: str,
        problem: QemuCliError,
        trace: Trace | None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._address = address
        self._problem = problem
        self._trace = trace

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, Any] | None,
        timeout_s: float | None,
        fd: int | None,
    ) -> Any:
        """Do what a QMP command does; see ``Session.execute``.

        :raise QemuCliError: it is none of those that are translated
        """
        wanted = dict(arguments or {})
        line = _line(command, wanted)
        if line is None or fd is not None:
            raise self._problem
        text = await self._ask(line, timeout_s)
        if command == "human-monitor-command":
            return text
        return _read(command, hmp.checked(line, text))

    async def greeted(self, timeout_s: float) -> None:
        """Wait for the first prompt.

        :raise TimedOutError: it does not come
        """
        await self._until_prompt("greeting", timeout_s)

    async def close(self) -> None:
        """Leave; never fails."""
        self._writer.close()
        with suppress(Exception):
            await asyncio.wait_for(self._writer.wait_closed(), 1.0)

    async def _ask(self, line: str, timeout_s: float | None) -> str:
        if not line.isprintable():
            raise UsageError(f"{line!r} is not one line that can be typed")
        self._note(line, sent=True)
        with suppress(ConnectionError):  # reading tells
            self._writer.write(line.encode() + b"\n")
            await self._writer.drain()
        said = await self._until_prompt(line, timeout_s)
        # Up to the end of the first line is the echo.
        text = said.partition(b"\r\n")[2].removesuffix(_PROMPT)
        answer = text.decode(errors="replace")
        self._note(answer, sent=False)
        return answer

    async def _until_prompt(self, line: str, timeout_s: float | None) -> bytes:
        said = bytearray()
        try:
            async with asyncio.timeout(timeout_s):
                while not _is_prompt(said):
                    data = await self._reader.read(1 << 16)
                    if not data:
                        raise ConnectionLostError(
                            f"{line}: QEMU closed {self._address} before it "
                            "answered"
                        )
                    said += data
                    if len(said) > _TEXT_MAX:
                        raise QemuCliError(f"{line}: it talks without end")
        except TimeoutError:
            raise TimedOutError(
                f"{line}: the monitor at {self._address} did not answer in "
                f"{timeout_s:g} s"
            ) from None
        except OSError:
            raise ConnectionLostError(
                f"{line}: QEMU closed {self._address}"
            ) from None
        return bytes(said)

    def _note(self, text: str, *, sent: bool) -> None:
        if self._trace:
            tell = self._trace.sent if sent else self._trace.received
            tell(self._address, {"human": text})


async def opened(
    sock: socket.socket,
    address: str,
    problem: QemuCliError,
    *,
    timeout_s: float,
    trace: Trace | None = None,
) -> HumanLink:
    """Wait until a monitor that we are connected to has greeted.

    :param sock: closed if it does not
    """
    reader, writer = await asyncio.open_connection(sock=sock)
    link = HumanLink(reader, writer, address, problem, trace)
    try:
        await link.greeted(timeout_s)
    except BaseException:
        await link.close()
        raise
    return link


def _is_prompt(said: bytes | bytearray) -> bool:
    return said.endswith(b"\n" + _PROMPT) or said == _PROMPT


def _line(command: str, wanted: dict[str, Any]) -> str | None:
    """Translate a QMP command; None: nobody has needed it yet."""
    if command in _SAME and not wanted:
        return command
    translate = _LINES.get(command)
    return translate(wanted) if translate else None


def _screendump(wanted: dict[str, Any]) -> str:
    name = str(wanted["filename"]).replace("\\", "\\\\").replace('"', '\\"')
    return f'screendump "{name}" -f {wanted["format"]}'


def _sendkey(wanted: dict[str, Any]) -> str:
    keys = "-".join(str(key["data"]) for key in wanted["keys"])
    return f"sendkey {keys} {wanted.get('hold-time', 100)}"


_LINES: dict[str, Callable[[dict[str, Any]], str]] = {
    "query-status": lambda wanted: "info status",
    "human-monitor-command": lambda wanted: str(wanted["command-line"]),
    "screendump": _screendump,
    "send-key": _sendkey,
}


def _read(command: str, text: str) -> Any:
    if command != "query-status":
        return {}
    found = _STATUS.search(text)
    if not found:
        raise QemuCliError(f"'info status' says: {text.strip()}")
    running = found["word"] == "running"
    return {
        "running": running,
        "status": "running" if running else found["why"] or "paused",
    }
