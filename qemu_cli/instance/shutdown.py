"""Ending a VM: by asking the guest, by telling QEMU, by force.

Who waits here waits for the process (its pidfd) and for events, and does
not poll.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import NamedTuple

from qemu_cli.errors import (
    BusyError,
    ConnectionLostError,
    NotFoundError,
    QemuCliError,
    StateError,
    TimedOutError,
)
from qemu_cli.instance import change, history, process, recorder
from qemu_cli.instance.discovery import human
from qemu_cli.instance.host import Host, known_facts
from qemu_cli.instance.inside import (
    agent_is_there,
    check_can_hear,
    check_runs,
)
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS, send_signal
from qemu_cli.qmp.session import Event, Listener, Session

#: A guest that boots does not hear the power button: it is pressed again.
PRESS_AGAIN_S = 3.0
#: How long the agent may take to end the guest before ACPI is tried too.
AGENT_PATIENCE_S = 15.0
#: How long QEMU may take to end when it is told to.
QUIT_TIMEOUT_S = 5.0


#: States in which there is no use in asking the guest.
_DEAF = frozenset({"unresponsive", "paused"})


class Ended(NamedTuple):
    """How a VM was ended.

    :param by: the step that worked: agent, acpi, quit, kill, or itself
    """

    by: str
    seconds: float


async def shutdown(
    host: Host, vm: VM, *, timeout_s: float, force: bool = False
) -> Ended:
    """Ask the guest to shut down, and wait until QEMU has ended.

    The guest agent is asked first if there is one, then the power button
    is pressed (ACPI).  With ``force``, QEMU is ended when the time is over,
    or at once when the guest can't hear us.

    :param timeout_s: how long the guest may take
    :raise StateError: it does not run, or is paused
    :raise TimedOutError: the guest did not shut down; nothing was killed
    :raise QemuCliError: QEMU died before the guest had shut down
    """
    vm = await human.asked(host, vm) if vm.foreign else vm
    if not force:
        check_can_hear(vm)
    check_runs(vm)
    facts = known_facts(vm)
    if facts:
        host.hooks.before_shutdown(facts)

    async def end(pidfd: int) -> str | None:
        by = None
        if vm.state not in _DEAF:
            by = await _ask(host, vm, pidfd, timeout_s)
        if by is None and force:
            host.say(f"{vm.name}: the guest did not react; ending QEMU")
            by = await _end(host, vm, pidfd)
        return by

    ended = await _hold(host, vm, end)
    with history.failure_noted(vm.paths, "shutdown", command=host.who):
        if ended is None:
            raise _in_vain(vm, timeout_s)
    if facts:
        host.hooks.after_shutdown(facts)
    return ended


async def quit_(host: Host, vm: VM) -> Ended:
    """Tell QEMU to end; the guest is not asked (QMP ``quit``).

    :raise StateError: it does not run
    :raise TimedOutError: QEMU did not end
    """

    async def end(pidfd: int) -> str | None:
        async with host.sessions.open(vm.monitors) as session:
            await _tell(session, "quit")
        return "quit" if await process.gone(pidfd, QUIT_TIMEOUT_S) else None

    check_runs(vm)
    ended = await _hold(host, vm, end)
    if ended is None:
        raise TimedOutError(
            f"QEMU of '{vm.name}' did not end in {QUIT_TIMEOUT_S:g} s",
            hint=f"qemu kill {vm.reference}",
        )
    return ended


async def kill(host: Host, vm: VM) -> Ended:
    """End QEMU at once, as a power cut does (SIGKILL).

    :raise StateError: it does not run, or is another user's
    :raise TimedOutError: the kernel did not end it
    """
    check_runs(vm)
    ended = await _hold(host, vm, _kill)
    if ended is None:
        raise TimedOutError(
            f"QEMU of '{vm.name}' is killed, and has not ended",
            hint="it waits for a device of the host, such as a disk",
        )
    return ended


def _in_vain(vm: VM, timeout_s: float) -> TimedOutError:
    what = f"the guest of '{vm.name}' did not shut down in {timeout_s:g} s"
    if recorder.last_cause(vm.paths.events_out):
        what = (
            f"the guest of '{vm.name}' has shut down, but QEMU did not end "
            f"in {timeout_s:g} s"
        )
    see = "" if vm.foreign else f" look at 'qemu console {vm.name}',"
    return TimedOutError(
        f"{what}; it still runs",
        hint=f"wait longer with --timeout,{see} or end it: "
        f"qemu shutdown --force {vm.reference}",
    )


async def _hold(
    host: Host, vm: VM, end: Callable[[int], Awaitable[str | None]]
) -> Ended | None:
    """Hold the process while it is ended; then write down how it was.

    :param end: gets the pidfd; returns what worked, None: nothing did
    """
    if vm.process is None:
        raise StateError(
            f"the process of '{vm.name}' is not on this host",
            hint="its end can't be waited for",
        )
    started = time.monotonic()
    try:
        pidfd = ProcFS().open_pidfd(vm.process)
    except NotFoundError:
        return Ended("itself", 0.0)
    try:
        by = await end(pidfd)
    finally:
        os.close(pidfd)
    if by is None:
        return None
    seconds = time.monotonic() - started
    if vm.foreign:
        return Ended(by, seconds)
    died = by != "kill" and _died(vm)
    try:
        await _write_down(host, vm, killed=by == "kill")
    except QemuCliError as error:
        host.warn(f"{vm.name}: how it ended is not written down: {error}")
    if died:
        raise QemuCliError(
            f"QEMU of '{vm.name}' died before it had ended in good order",
            hint=f"'qemu log {vm.name} --qemu' shows its last words",
        )
    return Ended(by, seconds)


def _died(vm: VM) -> bool:
    """Whether it left its pid file behind."""
    pid_file = vm.paths.pid_file
    return pid_file.exists() and not process.running(pid_file)


async def _write_down(host: Host, vm: VM, *, killed: bool) -> None:
    async with change.claimed(host, vm.paths):
        if process.running(vm.paths.pid_file):
            return  # somebody has started it again
        if killed:
            recorder.note_killed(vm.paths)
        process.remove_sockets(vm.paths)
        change.settle(host, vm.paths, command=host.who)


async def _ask(host: Host, vm: VM, pidfd: int, timeout_s: float) -> str | None:
    """Ask the guest; returns what worked, or None when time is over."""
    asked: list[str] = []
    asking = asyncio.create_task(_keep_asking(host, vm, asked))
    ending = asyncio.create_task(process.gone(pidfd, timeout_s))
    try:
        await asyncio.wait(
            (asking, ending), return_when=asyncio.FIRST_COMPLETED
        )
        if not ending.done():
            asking.result()  # perhaps nobody can ask: another command does
        if not await ending:
            return None
    finally:
        for task in (asking, ending):
            task.cancel()
        await asyncio.wait((asking, ending))
    return asked[-1] if asked else "itself"


async def _keep_asking(host: Host, vm: VM, asked: list[str]) -> None:
    """Ask until the guest has heard it.

    The agent is asked as soon as it is there.  Until then, and when it
    does not help, the power button is pressed: a guest that boots has to
    be asked again.

    :param asked: gets each way as it is tried
    """
    agent_is_due = vm.monitors.agent is not None
    with suppress(ConnectionLostError, StateError):  # it ends while we ask
        async with AsyncExitStack() as stack:
            news = await _listen(host, vm, stack)
            while True:
                by = None
                async with host.sessions.open(vm.monitors) as session:
                    if agent_is_due and await agent_is_there(session):
                        agent_is_due = False
                        by = await ask_agent(host, vm)
                    if by is None:
                        await _tell(session, "system_powerdown")
                asked.append(by or "acpi")
                event = await _next(
                    news, AGENT_PATIENCE_S if by else PRESS_AGAIN_S
                )
                if event and event.name == "SHUTDOWN":
                    return
                agent_is_due |= event is not None  # only of ours


async def _listen(
    host: Host, vm: VM, stack: AsyncExitStack
) -> Listener | None:
    if vm.foreign:
        return None  # its one monitor is needed for asking
    try:
        session = await stack.enter_async_context(
            host.sessions.open(vm.monitors, role="follower")
        )
    except BusyError:
        return None  # all followers are held; it works without
    return await stack.enter_async_context(
        session.listen("VSERPORT_CHANGE", "SHUTDOWN")
    )


async def _next(news: Listener | None, patience_s: float) -> Event | None:
    """Wait until the agent comes up or the guest has shut down.

    :return: None when neither happened
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            if news is None:
                await asyncio.Event().wait()
                return None
            while True:
                event = await news.get()
                if event.name == "SHUTDOWN" or event.data.get("open"):
                    return event
    return None


async def ask_agent(host: Host, vm: VM, mode: str = "powerdown") -> str | None:
    """Ask through the agent; None: it will not, so try something else.

    :param mode: ``powerdown`` or ``reboot``
    """
    try:
        async with host.sessions.agent(vm.monitors) as agent:
            await agent.shutdown(mode)
    except QemuCliError:
        return None
    return "agent"


async def _end(host: Host, vm: VM, pidfd: int) -> str | None:
    """End QEMU: tell it, and if it does not listen, kill it."""
    with suppress(QemuCliError, TimeoutError):
        async with (
            asyncio.timeout(QUIT_TIMEOUT_S),
            host.sessions.open(vm.monitors) as session,
        ):
            await _tell(session, "quit")
        if await process.gone(pidfd, QUIT_TIMEOUT_S):
            return "quit"
    return await _kill(pidfd)


async def _kill(pidfd: int) -> str | None:
    with suppress(NotFoundError):
        send_signal(pidfd, signal.SIGKILL)
    return "kill" if await process.gone(pidfd, QUIT_TIMEOUT_S) else None


async def _tell(session: Session, command: str) -> None:
    """Send a command after which QEMU may be gone before it replies."""
    with suppress(ConnectionLostError):
        await session.execute(command)
