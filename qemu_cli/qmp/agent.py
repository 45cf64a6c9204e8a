"""The guest agent: own client, for ``qemu.qmp`` can't speak to it.

qemu-ga (qga/qapi-schema.json) has no greeting, no events, and answers a
new client with what a former one asked.  So each connection begins with
``guest-sync-delimited`` and a random number: the 0xFF before the reply
tells where our part begins, and the number that it is ours.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from qemu_cli.errors import (
    ConnectionLostError,
    QemuCliError,
    RefusedError,
    TimedOutError,
)
from qemu_cli.qmp.connect import connect
from qemu_cli.qmp.trace import Trace

#: The agent captures 16 MiB of output, in base64; and its other stream.
MESSAGE_MAX = 64 << 20

REPLY_TIMEOUT_S = 30.0

#: How often a program in the guest is asked whether it has ended.
_POLL_S = (0.02, 0.05, 0.1, 0.2)


class AgentInfo(NamedTuple):
    """``guest-info``."""

    version: str
    commands: frozenset[str]  # the enabled ones


class Interface(NamedTuple):
    """A network interface of the guest (``guest-network-get-interfaces``)."""

    name: str
    mac: str | None
    addresses: tuple[str, ...]  # with prefix length, as in 10.0.2.15/24


class Finished(NamedTuple):
    """How a program in the guest ended (``guest-exec-status``)."""

    exit_code: int | None  # None: a signal ended it
    signal: int | None
    out: bytes
    err: bytes
    truncated: bool  # the agent keeps 16 MiB of each


class Agent:
    """A conversation with the agent of one guest."""

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
        number = f"{self._token}-{next(self._numbers)}"
        message: dict[str, Any] = {"execute": command, "id": number}
        if arguments:
            message["arguments"] = arguments
        async with _limit(command, timeout_s):
            await self._send(message)
            while True:
                reply = await self._receive()
                if reply.get("id") == number:
                    return _result(command, reply)

    async def synchronize(self, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        """Skip what the agent says to a former client.

        The 0xFF that we send first makes it forget a half-sent message.

        :raise TimedOutError: no agent answers
        """
        number = secrets.randbelow(1 << 53)
        async with _limit("guest-sync-delimited", timeout_s):
            await self._send(
                {
                    "execute": "guest-sync-delimited",
                    "arguments": {"id": number},
                },
                prefix=b"\xff",
            )
            while (await self._receive()).get("return") != number:
                pass

    async def info(self) -> AgentInfo:
        """Ask which commands the agent knows."""
        info = await self.execute("guest-info")
        return AgentInfo(
            info["version"],
            frozenset(
                command["name"]
                for command in info["supported_commands"]
                if command["enabled"]
            ),
        )

    async def shutdown(self, mode: str = "powerdown") -> None:
        """Ask the guest to end; it says nothing when it will.

        :param mode: ``powerdown``, ``reboot`` or ``halt``
        :raise RefusedError: the agent will not
        """
        # An error comes at once; silence and a lost connection are good.
        with contextlib.suppress(TimedOutError, ConnectionLostError):
            await self.execute("guest-shutdown", {"mode": mode}, timeout_s=1.0)

    async def freeze(self) -> int:
        """Make the file systems consistent, and hold all writes.

        :return: how many file systems
        """
        return int(await self.execute("guest-fsfreeze-freeze"))

    async def thaw(self) -> int:
        """Let the guest write again; 0: it was not frozen."""
        return int(await self.execute("guest-fsfreeze-thaw"))

    async def is_frozen(self) -> bool:
        """Tell whether the file systems are held."""
        return bool(await self.execute("guest-fsfreeze-status") == "frozen")

    async def interfaces(self) -> list[Interface]:
        """List the guest's network interfaces."""
        return [
            Interface(
                one["name"],
                one.get("hardware-address"),
                tuple(
                    f"{address['ip-address']}/{address['prefix']}"
                    for address in one.get("ip-addresses", ())
                ),
            )
            for one in await self.execute("guest-network-get-interfaces")
        ]

    async def os_name(self) -> str:
        """Name the guest's operating system, as it names itself."""
        info = await self.execute("guest-get-osinfo")
        return str(info.get("pretty-name") or info.get("name") or "")

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        environment: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> Finished:
        """Run a program in the guest and wait for its end.

        :param argv: the program and its arguments; no shell
        :param environment: ``NAME=value``; none is the agent's own
        :param timeout_s: for the program; it goes on when that is over
        :raise RefusedError: there is no such program
        :raise TimedOutError: it has not ended
        """
        arguments: dict[str, Any] = {
            "path": argv[0],
            "arg": list(argv[1:]),
            "capture-output": True,
        }
        if stdin:
            arguments["input-data"] = base64.b64encode(stdin).decode()
        if environment:
            arguments["env"] = list(environment)
        pid = (await self.execute("guest-exec", arguments))["pid"]
        pauses = itertools.chain(_POLL_S, itertools.repeat(_POLL_S[-1]))
        async with _limit(argv[0], timeout_s):
            for pause_s in pauses:
                status = await self.execute("guest-exec-status", {"pid": pid})
                if status["exited"]:
                    break
                await asyncio.sleep(pause_s)
        return Finished(
            status.get("exitcode"),
            status.get("signal"),
            base64.b64decode(status.get("out-data", "")),
            base64.b64decode(status.get("err-data", "")),
            status.get("out-truncated", False)
            or status.get("err-truncated", False),
        )

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
async def open_agent(
    address: str,
    pid: int | None,
    *,
    timeout_s: float,
    trace: Trace | None = None,
) -> AsyncIterator[Agent]:
    """Connect to an agent's port and synchronize.

    :param timeout_s: until the port is free, and until the agent answers
    :raise BusyError: another client talks to the agent
    :raise StateError: QEMU is not there, or stopped
    :raise TimedOutError: no agent answers
    """
    sock = await connect(address, pid, wait_s=timeout_s, timeout_s=timeout_s)
    reader, writer = await asyncio.open_connection(
        sock=sock, limit=MESSAGE_MAX
    )
    try:
        agent = Agent(reader, writer, address, trace)
        await agent.synchronize(timeout_s)
        yield agent
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def _limit(what: str, timeout_s: float | None) -> AsyncIterator[None]:
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
