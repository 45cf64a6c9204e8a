"""What is said to the guest agent, and how its answers are told apart.

qemu-ga (qga/qapi-schema.json) has no greeting, no events, and answers a
new client with what a former one asked.  So each connection begins with
``guest-sync-delimited`` and a random number: the 0xFF before the reply
tells where our part begins, and the number that it is ours.
"""

import asyncio
import contextlib
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from qemu_cli.errors import (
    ConnectionLostError,
    QemuCliError,
    RefusedError,
    TimedOutError,
)
from qemu_cli.qmp.trace import Trace

#: The agent captures 16 MiB of output, in base64; and its other stream.
MESSAGE_MAX = 64 << 20

REPLY_TIMEOUT_S = 30.0


class Question(NamedTuple):
    """What was asked, and has not been answered yet."""

    command: str
    number: str


class Conversation:
    """One client's connection to the agent of one guest."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: str,
        trace: Trace | None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._address = address
        self._trace = trace
        # Our own, so that a former client's late reply never fits.
        self._token = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = REPLY_TIMEOUT_S,
    ) -> Any:
        """Send a command and wait for its reply.

        :return: the reply's ``return``
        :raise RefusedError: the agent answered with an error
        :raise TimedOutError: it did not answer; what it says later is
            not taken for an answer to something else
        :raise ConnectionLostError: QEMU ended
        """
        async with limited(command, timeout_s):
            return await self.reply(await self.ask(command, arguments))

    async def ask(
        self, command: str, arguments: Mapping[str, Any] | None = None
    ) -> Question:
        """Send a command without waiting: :meth:`reply` has its answer.

        Only short ones may be on their way at the same time: an agent
        that still writes an answer hangs when much more comes.

        :raise ConnectionLostError: QEMU ended
        """
        number = f"{self._token}-{next(self._numbers)}"
        message: dict[str, Any] = {"execute": command, "id": number}
        if arguments:
            message["arguments"] = arguments
        await self._send(message)
        return Question(command, number)

    async def reply(self, question: Question) -> Any:
        """Wait for the answer; those to earlier questions are dropped.

        :return: the reply's ``return``
        :raise RefusedError: the agent answered with an error
        :raise ConnectionLostError: QEMU ended
        """
        while True:
            reply = await self._receive()
            if reply.get("id") == question.number:
                return _result(question.command, reply)

    async def synchronize(self, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        """Skip what the agent says to a former client.

        The 0xFF that we send first makes it forget a half-sent message.

        :raise TimedOutError: no agent answers
        """
        number = secrets.randbelow(1 << 53)
        async with limited("guest-sync-delimited", timeout_s):
            await self._send(
                {
                    "execute": "guest-sync-delimited",
                    "arguments": {"id": number},
                },
                prefix=b"\xff",
            )
            while (await self._receive()).get("return") != number:
                pass

    async def _send(
        self, message: Mapping[str, Any], prefix: bytes = b""
    ) -> None:
        if self._trace:
            self._trace.sent(self._address, message)
        try:
            self._writer.write(prefix + json.dumps(message).encode() + b"\n")
            await self._writer.drain()
        except OSError:
            raise self._lost() from None

    async def _receive(self) -> Mapping[str, Any]:
        while True:
            try:
                line = await self._reader.readline()
            except ValueError:
                raise QemuCliError(
                    f"the guest agent at {self._address} talks without end"
                ) from None
            except OSError:
                raise self._lost() from None
            if not line:
                raise self._lost()
            # What stands before the 0xFF was meant for somebody else.
            line = line.rpartition(b"\xff")[2].strip()
            if self._trace and line:
                self._trace.received(self._address, line)
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict):
                    return message

    def _lost(self) -> ConnectionLostError:
        return ConnectionLostError(
            f"the guest agent's port {self._address} was closed"
        )


@asynccontextmanager
async def limited(what: str, timeout_s: float | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise TimedOutError(
            f"{what}: the guest agent did not answer in {timeout_s:g} s",
            hint="is it installed, and has the guest booted?",
        ) from None


def _result(command: str, reply: Mapping[str, Any]) -> Any:
    if "error" not in reply:
        return reply.get("return")
    error = reply["error"]
    raise RefusedError(
        f"{command}: {error.get('desc', error)}",
        command=command,
        error_class=error.get("class", "GenericError"),
    )
