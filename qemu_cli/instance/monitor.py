"""A conversation with a VM's QEMU that a person leads.

Between two commands the control monitor of a VM of ours is free, and its
events come from its recorder.  A VM that somebody else started has one
monitor, which is held for as long as the conversation lasts.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from qemu_cli.errors import (
    BusyError,
    ConnectionLostError,
    NotFoundError,
    StateError,
    UsageError,
)
from qemu_cli.instance import events, process, talk
from qemu_cli.instance.events import Event
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS
from qemu_cli.qmp import arguments
from qemu_cli.qmp.schema import Schema
from qemu_cli.qmp.session import Listener, Session
from qemu_cli.qmp.trace import redact

#: How the human monitor is told to end QEMU.
_LAST_HMP = frozenset({"q", "quit"})


class Conversation:
    """Made by :func:`conversation`.

    :param schema: what this QEMU takes
    :param held: why the monitor is held, or the events are missing; ``""``
    """

    def __init__(
        self,
        vm: VM,
        session: Session,
        schema: Schema,
        listener: Listener | None,
        held: str,
    ) -> None:
        self.vm = vm
        self.schema = schema
        self.held = held
        self._session = session
        self._listener = listener

    async def say(self, line: str) -> Any:
        """Send what was typed, and wait for the answer for ever.

        :return: the reply; of the human monitor, its text; None: QEMU was
            told to end, and has
        :raise UsageError: it can't be sent; names the nearest right one
        :raise RefusedError: QEMU said no
        """
        try:
            if (command_line := human(line)) is not None:
                if not command_line:
                    raise UsageError("no command", hint="hmp help")
                return await self._session.human(command_line)
            order = talk.order_of_line(line)
            checked = arguments.check(self.schema, order.command, order.given)
            return await self._session.execute(
                order.command, checked, timeout_s=None
            )
        except ConnectionLostError:
            if not ends_qemu(line):
                raise
            return None

    async def events(self) -> AsyncIterator[Event]:
        """Yield what QEMU tells, from now on."""
        name = self.vm.name
        if self._listener is None:
            if _is_recorded(self.vm):
                async for event in events.follow([self.vm]):
                    yield event
            return
        while True:
            told = await self._listener.get()
            yield Event(name, told.name, told.data, told.time_s)

    async def ended(self) -> None:
        """Return when QEMU has ended."""
        if self.vm.process is None:
            await asyncio.Event().wait()  # it is not on this host
            return
        try:
            pidfd = ProcFS().open_pidfd(self.vm.process)
        except NotFoundError:
            return
        try:
            await process.gone(pidfd, None)
        finally:
            os.close(pidfd)


@asynccontextmanager
async def conversation(host: Host, vm: VM) -> AsyncIterator[Conversation]:
    """Begin a conversation; the schema is asked for, or known.

    :raise StateError: the VM does not run, or can't be talked to
    :raise BusyError: its one monitor is held by another client
    """
    talk.check_runs(vm)
    async with AsyncExitStack() as stack:
        opened = host.sessions.open(vm.monitors)
        session = await stack.enter_async_context(opened)
        listener, held = None, ""
        if not vm.monitors.followers:
            await stack.enter_async_context(session.exchange())
            listener = await stack.enter_async_context(session.listen())
            held = "its only monitor is held until you leave"
        elif not _is_recorded(vm):
            try:
                listener = await _follow(host, vm, stack)
            except BusyError:
                held = "its events are not shown: its followers are held"
        schema = await host.schema(vm, session)
        yield Conversation(vm, session, schema, listener, held)


def human(line: str) -> str | None:
    """What a line says to the human monitor; None: it is not for that."""
    word, _, rest = line.strip().partition(" ")
    return rest.strip() if word == "hmp" else None


def ends_qemu(line: str) -> bool:
    """Whether a line tells QEMU to end."""
    command_line = human(line)
    if command_line is not None:
        return command_line.split(" ")[0] in _LAST_HMP
    try:
        return talk.order_of_line(line).command == talk.LAST
    except UsageError:
        return False


def is_secret(line: str) -> bool:
    """Whether a line has a password in it, or what may be one."""
    command_line = human(line)
    if command_line is not None:
        return bool(redact(command_line) != command_line)
    try:
        order = talk.order_of_line(line)
    except UsageError:
        return "password" in line or "secret" in line
    return bool(redact(order.given) != order.given)


def _is_recorded(vm: VM) -> bool:
    try:
        events.check_recorded(vm)
    except StateError:
        return False
    return vm.foreign is None


async def _follow(host: Host, vm: VM, stack: AsyncExitStack) -> Listener:
    opened = host.sessions.open(vm.monitors, role="follower")
    session = await stack.enter_async_context(opened)
    return await stack.enter_async_context(session.listen())
