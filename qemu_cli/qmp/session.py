"""Talk to a running QEMU.

A QMP socket serves one client at a time; a second one hangs without a
greeting.  So nobody keeps a monitor for longer than it needs it::

    async with sessions.open(vm.monitors) as session:
        await session.execute("stop")            # one exchange

        async with session.exchange():           # several in one
            await session.execute("getfd", {"fdname": "f"}, fd=fd)
            await session.execute("migrate", {"uri": "fd:f"})

        async with session.listen("SHUTDOWN") as events:  # first listen
            await session.execute("system_powerdown")     # then ask
            await events.get(timeout_s=60)

An exchange takes the lock, connects, and leaves.  What waits (events,
jobs) uses a follower monitor and holds up nobody.  A VM that somebody
else started has one monitor: waiting holds that.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from qemu_cli.errors import BusyError, StateError
from qemu_cli.qmp import hmp, human, jobs, lock
from qemu_cli.qmp.address import Monitors
from qemu_cli.qmp.connect import busy, check_running, connect, unanswered
from qemu_cli.qmp.link import Heard, Link, Message, opened
from qemu_cli.qmp.shared import Shared

if TYPE_CHECKING:
    from qemu_cli.qmp.sessions import Sessions

#: Most commands answer in a millisecond; a main loop that is busy with
#: storage can need seconds.
REPLY_TIMEOUT_S = 60.0


class Event(NamedTuple):
    """What QEMU told without being asked (qmp-spec, "Events")."""

    name: str
    data: Mapping[str, Any]
    time_s: float  # seconds since the epoch, by QEMU's clock


class Session:
    """The conversation of one command with one QEMU."""

    def __init__(
        self,
        sessions: "Sessions",
        monitors: Monitors,
        role: str,
        wait_s: float,
    ) -> None:
        self._sessions = sessions
        self._monitors = monitors
        self._wait_s = wait_s
        self._control = Shared(self._open_control)
        self._follower = Shared(self._open_follower)
        if not monitors.followers:
            self._follower = self._control
        elif role == "follower":
            self._control = self._follower

    @asynccontextmanager
    async def exchange(self) -> AsyncIterator[None]:
        """Keep the monitor for several commands; nests.

        :raise BusyError: another command, or a stranger, holds it
        :raise StateError: QEMU is not there, or is stopped
        :raise TimedOutError: QEMU greets, and is silent then
        """
        async with self._control.use():
            yield

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = REPLY_TIMEOUT_S,
        fd: int | None = None,
    ) -> Any:
        """Send a command and wait for its reply.

        :param timeout_s: for the reply; None waits for ever
        :param fd: a file descriptor that goes with it (SCM_RIGHTS), for
            ``getfd`` and ``add-fd``
        :return: the reply's ``return``
        :raise RefusedError: QEMU answered with an error
        :raise ConnectionLostError: QEMU ended before it answered
        :raise TimedOutError: no reply in time; it may come true yet
        """
        async with self._control.use() as link:
            return await link.execute(command, arguments, timeout_s, fd)

    async def human(self, command_line: str) -> str:
        """Execute a command of the human monitor.

        :return: the text that it prints
        :raise RefusedError: the text is an error message
        """
        arguments = {"command-line": command_line}
        text = await self.execute("human-monitor-command", arguments)
        return hmp.checked(command_line, text)

    @asynccontextmanager
    async def listen(self, *names: str) -> AsyncIterator["Listener"]:
        """Hear events from now on: enter this before the command.

        :param names: of the events; none means all
        :raise BusyError: every monitor is held
        """
        if self._monitors.human and self._monitors.problem:
            raise self._monitors.problem
        async with self._follower.use() as link:
            heard = Heard(names)
            with link.client.listen(heard):
                yield Listener(link, heard)

    async def wait_event(
        self, *names: str, timeout_s: float | None = None
    ) -> Event:
        """Wait for the next event of these names."""
        async with self.listen(*names) as listener:
            return await listener.get(timeout_s)

    async def run_job(
        self,
        command: str,
        arguments: Mapping[str, Any],
        *,
        progress: "Callable[[jobs.Progress], object] | None" = None,
        until: jobs.Until = "concluded",
    ) -> str:
        """Start a job and wait; see :func:`qemu_cli.qmp.jobs.run_job`."""
        return await jobs.run_job(
            self, command, arguments, progress=progress, until=until
        )

    @asynccontextmanager
    async def _open_control(self) -> AsyncIterator[Link]:
        monitors = self._monitors
        if monitors.problem and not monitors.human:
            raise monitors.problem
        if monitors.control is None:
            raise StateError(
                "the VM has no monitor that we could use",
                hint="QEMU needs '-qmp unix:PATH,server=on,wait=off'",
            )
        # First, so that a stopped QEMU is named, not the one it keeps.
        check_running(monitors.pid)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait_s
        async with contextlib.AsyncExitStack() as stack:
            if monitors.lock is not None:
                await stack.enter_async_context(
                    lock.locked(monitors.lock, self._sessions.who, deadline)
                )
            link = await self._connect(
                monitors.control,
                max(0.0, deadline - loop.time()),
                monitors.bound,
            )
            stack.push_async_callback(link.close)
            yield link

    @asynccontextmanager
    async def _open_follower(self) -> AsyncIterator[Link]:
        monitors = self._monitors
        check_running(monitors.pid)
        for address in monitors.followers:
            try:
                link = await self._connect(address, 0.0)
            except BusyError:
                continue
            try:
                yield link
            finally:
                await link.close()
            return
        if self._control is not self._follower:
            # Better to hold up other commands than to fail.
            async with self._control.use() as link:
                yield link
            return
        raise busy(monitors.followers[0])

    async def _connect(
        self, address: str, wait_s: float, bound: str | None = None
    ) -> Link:
        monitors, trace = self._monitors, self._sessions.trace
        timeout_s = self._sessions.connect_timeout_s
        sock = await connect(
            address,
            monitors.pid,
            wait_s=wait_s,
            timeout_s=timeout_s,
            bound=bound,
        )
        if monitors.human and (problem := monitors.problem):
            return await human.opened(  # type: ignore[return-value]
                *(sock, address, problem), timeout_s=timeout_s, trace=trace
            )
        return await opened(
            *(sock, address),
            timeout_s=timeout_s,
            trace=trace,
            silent=lambda: unanswered(address, monitors.pid, bound),
        )


class Listener:
    """Hears events; made by :meth:`Session.listen`."""

    def __init__(self, link: Link, heard: Heard) -> None:
        self._link = link
        self._heard = heard

    async def get(self, timeout_s: float | None = None) -> Event:
        """Wait for the next event.

        :param timeout_s: None waits for ever
        :raise TimedOutError: none came in time
        :raise ConnectionLostError: QEMU ended; everything that it said
            before was returned first
        """
        queue = self._heard.queue
        if queue.empty():
            arrived = asyncio.ensure_future(queue.get())
            await self._link.until(arrived, timeout_s)
            return _event(arrived.result())
        return _event(queue.get_nowait())

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = REPLY_TIMEOUT_S,
    ) -> Any:
        """Ask something on the monitor that listens, without the lock."""
        return await self._link.execute(command, arguments, timeout_s, None)


def _event(message: Message) -> Event:
    stamp: Any = message["timestamp"]
    data: Any = message.get("data", {})
    time_s = stamp["seconds"] + stamp["microseconds"] / 1e6
    return Event(str(message["event"]), data, time_s)
