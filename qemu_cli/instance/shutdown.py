"""Ending a VM: by asking the guest, by telling QEMU, by force.

Who waits here waits for the process (its pidfd) and for events, and does
not poll.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from qemu_cli.errors import (
    ConnectionLostError,
    QemuCliError,
    StateError,
    TimedOutError,
)
from qemu_cli.instance import change, history, process, recorder
from qemu_cli.instance.host import Host, pid_of, vm_facts
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS
from qemu_cli.qmp.session import Session

#: A guest that boots does not hear the power button: it is pressed again.
PRESS_AGAIN_S = 3.0
#: How long the agent may take to end the guest before ACPI is tried too.
AGENT_PATIENCE_S = 15.0
#: How long QEMU may take to end when it is told to.
QUIT_TIMEOUT_S = 5.0


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
    is pressed (ACPI).  With ``force``, QEMU is ended when the time is over.

    :param timeout_s: how long the guest may take
    :raise StateError: it does not run, or is paused
    :raise TimedOutError: the guest did not shut down; nothing was killed
    """
    check_can_hear(vm)
    definition = vm.definition
    facts = vm_facts(vm.paths, definition, pid_of(vm))
    host.hooks.before_shutdown(facts)
    started = time.monotonic()
    async with _ending(host, vm) as pidfd:
        by = await _ask(host, vm, pidfd, timeout_s)
        if by is None and force:
            host.say(f"{vm.name}: the guest did not react; ending QEMU")
            by = await _end(host, vm, pidfd)
    with history.failure_noted(vm.paths, "shutdown", command=host.who):
        if by is None:
            raise TimedOutError(
                f"the guest of '{vm.name}' did not shut down in "
                f"{timeout_s:g} s; it still runs",
                hint="wait longer with --timeout, look at 'qemu console "
                f"{vm.name}', or end it: qemu shutdown --force {vm.name}",
            )
    host.hooks.after_shutdown(facts)
    return Ended(by, time.monotonic() - started)


async def quit_(host: Host, vm: VM) -> Ended:
    """Tell QEMU to end; the guest is not asked (QMP ``quit``).

    :raise StateError: it does not run
    :raise TimedOutError: QEMU did not end
    """
    check_runs(vm)
    started = time.monotonic()
    async with _ending(host, vm) as pidfd:
        async with host.sessions.open(vm.monitors) as session:
            await _tell(session, "quit")
        if not await process.gone(pidfd, QUIT_TIMEOUT_S):
            raise TimedOutError(
                f"QEMU of '{vm.name}' did not end in {QUIT_TIMEOUT_S:g} s",
                hint=f"qemu kill {vm.name}",
            )
    return Ended("quit", time.monotonic() - started)


async def kill(host: Host, vm: VM) -> Ended:
    """End QEMU at once, as a power cut does (SIGKILL).

    :raise StateError: it does not run
    """
    check_runs(vm)
    started = time.monotonic()
    async with _ending(host, vm) as pidfd:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        await process.gone(pidfd, QUIT_TIMEOUT_S)
        recorder.note_killed(vm.paths)
    return Ended("kill", time.monotonic() - started)


def check_runs(vm: VM) -> None:
    """Refuse what needs a QEMU process.

    :raise StateError: there is none
    """
    if not vm.alive:
        raise StateError(f"'{vm.name}' does not run: it is {vm.state}")


def check_can_hear(vm: VM) -> None:
    """Refuse to ask a guest that can't hear us.

    :raise StateError: it does not run, is paused, or QEMU is silent
    """
    check_runs(vm)
    if vm.state == "unresponsive":
        raise StateError(
            f"'{vm.name}' is unresponsive: {vm.reason}",
            hint=f"'qemu kill {vm.name}' ends it",
        )
    if vm.state == "paused":
        raise StateError(
            f"'{vm.name}' is paused{f' ({vm.reason})' if vm.reason else ''}:"
            " its guest can't hear us",
            hint=f"'qemu resume {vm.name}' first, or 'qemu quit {vm.name}'",
        )


@asynccontextmanager
async def _ending(host: Host, vm: VM) -> AsyncIterator[int]:
    """Hold the process; when it has ended, write down how."""
    assert vm.process is not None  # noqa: S101
    pidfd = ProcFS().open_pidfd(vm.process)
    try:
        yield pidfd
        if await process.gone(pidfd, 0):
            process.remove_sockets(vm.paths)
            async with change.claimed(host, vm.paths):
                change.settle(host, vm.paths)
    finally:
        os.close(pidfd)


async def _ask(host: Host, vm: VM, pidfd: int, timeout_s: float) -> str | None:
    """Ask the guest; returns what worked, or None when time is over."""
    deadline = time.monotonic() + timeout_s
    asked: str | None = None
    press_at = 0.0
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            async with host.sessions.open(vm.monitors) as session:
                if asked is None and await agent_is_there(session):
                    asked = await ask_agent(host, vm)
                    press_at = time.monotonic() + AGENT_PATIENCE_S
                if time.monotonic() >= press_at:
                    await _tell(session, "system_powerdown")
                    asked = asked or "acpi"
                    press_at = time.monotonic() + PRESS_AGAIN_S
        except (ConnectionLostError, StateError):
            # It ends while we ask: the process tells.
            pass
        wait_s = min(left_s, max(0.1, press_at - time.monotonic()))
        if await process.gone(pidfd, wait_s):
            return asked or "itself"
    return None


async def agent_is_there(session: Session) -> bool:
    """Whether the guest has the agent's port open (QAPI query-chardev)."""
    for chardev in await session.execute("query-chardev"):
        if chardev["label"] == "agent0":
            return bool(chardev["frontend-open"])
    return False


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


async def _end(host: Host, vm: VM, pidfd: int) -> str:
    """End QEMU: tell it, and if it does not listen, kill it."""
    with suppress(QemuCliError):
        async with (
            asyncio.timeout(QUIT_TIMEOUT_S),
            host.sessions.open(vm.monitors) as session,
        ):
            await _tell(session, "quit")
        if await process.gone(pidfd, QUIT_TIMEOUT_S):
            return "quit"
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    await process.gone(pidfd, QUIT_TIMEOUT_S)
    recorder.note_killed(vm.paths)
    return "kill"


async def _tell(session: Session, command: str) -> None:
    """Send a command after which QEMU may be gone before it replies."""
    with suppress(ConnectionLostError):
        await session.execute(command)
