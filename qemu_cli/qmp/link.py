"""One connection to one monitor.  The only importer of ``qemu.qmp``."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qemu.qmp import (
    ConnectError,
    EventListener,
    ExecuteError,
    Message,
    QMPClient,
    QMPError,
    Runstate,
)

from qemu_cli.errors import (
    ConnectionLostError,
    QemuCliError,
    RefusedError,
    TimedOutError,
)
from qemu_cli.qmp.trace import Trace

__all__ = ("Heard", "Link", "Message", "opened")

#: The longest message; a query of 500 block nodes has some megabytes.
MESSAGE_MAX = 64 << 20


async def opened(
    sock: socket.socket,
    address: str,
    *,
    timeout_s: float,
    trace: Trace | None,
    silent: Callable[[], QemuCliError],
) -> "Link":
    """Make a conversation of a connection.

    :param sock: is closed if this fails
    :param silent: the error when nobody greets
    :raise ConnectionLostError: it was closed while QEMU greeted
    :raise TimedOutError: QEMU greets, and is silent then
    """
    client = Client(address, trace)
    try:
        async with asyncio.timeout(timeout_s):
            await client.connect(sock)
    except TimeoutError:
        if client.greeting is None:
            sock.close()
            raise silent() from None
        raise TimedOutError(
            f"QEMU's main loop does not answer at {address}",
            hint="it may be busy with storage; try again",
        ) from None
    except ConnectError as error:
        raise _explained(error, address) from None
    finally:
        if client.runstate != Runstate.RUNNING:
            sock.close()
    return Link(client, address)


class Client(QMPClient):
    """The library's client, with our tap in the hooks it has for that."""

    def __init__(self, address: str, trace: Trace | None) -> None:
        super().__init__(readbuflen=MESSAGE_MAX)
        self._address = address
        self._trace = trace
        self.flooded = False  # by a message longer than MESSAGE_MAX
        # The default listener hears everything and forgets nothing.
        self.events.event_filter = lambda event: False

    async def _establish_session(self) -> None:
        await super()._establish_session()
        if self.runstate != Runstate.RUNNING:
            # QEMU's end came with its answer, and the reader has met it.
            # connect() would assert that we are connected.
            with contextlib.suppress(Exception):
                await self.disconnect()
            raise EOFError

    async def _readline(self) -> bytes:
        try:
            return await super()._readline()
        except ValueError:  # asyncio: longer than the limit
            self.flooded = True
            raise

    async def _recv(self) -> Message:
        message = await super()._recv()
        while self.runstate == Runstate.CONNECTING and "event" in message:
            # It was on its way to the client before us.
            message = await super()._recv()
        return message

    def _cb_outbound(self, msg: Message) -> Message:
        if self._trace:
            self._trace.sent(self._address, msg)
        return msg

    def _cb_inbound(self, msg: Message) -> Message:
        if self._trace:
            self._trace.received(self._address, msg)
        return msg


class Link:
    """One connection to one monitor."""

    def __init__(self, client: Client, address: str) -> None:
        self.client = client
        self._address = address
        self._gone = asyncio.create_task(self._until_gone())

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, Any] | None,
        timeout_s: float | None,
        fd: int | None,
    ) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                if fd is not None:
                    self.client.send_fd_scm(fd)
                return await self.client.execute(command, arguments)
        except ExecuteError as error:
            raise RefusedError(
                f"{command}: {error}",
                command=command,
                error_class=error.error_class,
            ) from None
        except TimeoutError:
            raise TimedOutError(
                f"{command}: QEMU did not answer in {timeout_s:g} s"
            ) from None
        except (QMPError, EOFError, OSError):
            if self.client.flooded:
                raise QemuCliError(
                    f"{command}: the answer is longer than "
                    f"{MESSAGE_MAX >> 20} MiB"
                ) from None
            raise ConnectionLostError(
                f"{command}: QEMU closed {self._address} before it answered"
            ) from None

    async def until(
        self, awaited: asyncio.Future[Any], timeout_s: float | None
    ) -> None:
        """Wait for something that QEMU brings, or QEMU's end."""
        try:
            await asyncio.wait(
                (awaited, self._gone),
                timeout=timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if awaited.done():
                return
            if self._gone.done():
                raise ConnectionLostError(f"QEMU closed {self._address}")
            raise TimedOutError(f"no event in {timeout_s:g} s")
        finally:
            awaited.cancel()

    async def close(self) -> None:
        """Leave; never fails, whatever became of the connection."""
        self._gone.cancel()
        # What broke it was told to whoever was waiting for an answer.
        # A peer that takes no more data would keep us flushing.
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.client.disconnect(), 1.0)

    async def _until_gone(self) -> None:
        while self.client.runstate == Runstate.RUNNING:
            await self.client.runstate_changed()


class Heard(EventListener):
    """A listener without the library's history, which only grows."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self.queue: asyncio.Queue[Message] = asyncio.Queue()

    async def put(self, event: Message) -> None:
        if self.accept(event):
            self.queue.put_nowait(event)


def _explained(error: ConnectError, address: str) -> QemuCliError:
    if isinstance(error.exc, EOFError | OSError):
        return ConnectionLostError(f"QEMU closed {address} while greeting")
    return QemuCliError(f"what listens at {address} does not speak QMP")
