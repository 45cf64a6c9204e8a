"""Booting a guest again: by asking it, or by the reset button."""

import asyncio
import time
from contextlib import nullcontext
from typing import NamedTuple

from qemu_cli.errors import (
    ConnectionLostError,
    QemuCliError,
    TimedOutError,
)
from qemu_cli.instance import history
from qemu_cli.instance.change import attending
from qemu_cli.instance.host import Host
from qemu_cli.instance.inside import agent_is_there, check_can_hear
from qemu_cli.instance.pause import NEEDS_RESET, check_answers
from qemu_cli.instance.shutdown import (
    AGENT_PATIENCE_S,
    PRESS_AGAIN_S,
    ask_agent,
)
from qemu_cli.instance.vm import VM
from qemu_cli.qmp.session import Listener, Session

_CTRL_ALT_DEL = {
    "keys": [
        {"type": "qcode", "data": key} for key in ("ctrl", "alt", "delete")
    ]
}


class Rebooted(NamedTuple):
    """How a guest was rebooted.

    :param by: what it heard: ``agent``, ``ctrl-alt-del``
    """

    by: str
    seconds: float


async def reset(host: Host, vm: VM) -> bool:
    """Press the reset button (QMP ``system_reset``); nobody is asked.

    A guest that had ended (panicked, shut down) runs again; one that was
    paused stays so.

    :return: whether it runs now
    :raise StateError: it does not run, or is busy
    """
    async with attending(host, vm) as now:
        check_answers(now)
        ended = now.run_state in NEEDS_RESET
        async with (
            host.sessions.open(now.monitors) as session,
            session.exchange(),
        ):
            await session.execute("system_reset")
            if ended:
                await session.execute("cont")
        history.note(vm.paths, "reset", command=host.who)
        return ended or now.state == "running"


async def reboot(host: Host, vm: VM, *, timeout_s: float) -> Rebooted:
    """Ask the guest to reboot, and wait until it has reset the machine.

    The guest agent is asked if there is one, then Ctrl-Alt-Del is pressed,
    again and again.  The machine is never reset by us.

    :param timeout_s: how long the guest may take
    :raise StateError: it does not run, or is paused
    :raise TimedOutError: the guest did not react; it still runs
    :raise QemuCliError: the guest shut down instead
    """
    check_can_hear(vm)
    started = time.monotonic()
    try:
        async with (
            host.sessions.open(vm.monitors, role="follower") as session,
            session.listen("RESET", "SHUTDOWN") as events,
        ):
            # Of another's VM, the one monitor that listens asks as well.
            talk = session if vm.foreign else None
            by = await _ask(host, vm, events, started + timeout_s, talk)
    except ConnectionLostError:
        raise _ended(vm) from None
    if by is None:
        raise TimedOutError(
            f"the guest of '{vm.name}' did not reboot in {timeout_s:g} s; it"
            " still runs",
            hint=f"'qemu reset {vm.reference}' resets the machine, as its "
            "button does: the guest is not asked",
        )
    history.note(vm.paths, "reboot", command=host.who, by=by)
    return Rebooted(by, time.monotonic() - started)


async def _ask(
    host: Host,
    vm: VM,
    events: Listener,
    deadline: float,
    talk: Session | None = None,
) -> str | None:
    """Ask the guest; returns what it heard, or None when time is over.

    A reset from before it was asked is none of ours.

    :param talk: None: a session is opened each time
    """
    by: str | None = None
    asked_at_s: float | None = None
    press_at = 0.0
    while (left_s := deadline - time.monotonic()) > 0:
        async with (
            nullcontext(talk) if talk else host.sessions.open(vm.monitors)
        ) as session:
            asked_at_s = asked_at_s or time.time()
            if by is None and await agent_is_there(session):
                by = await ask_agent(host, vm, "reboot")
                press_at = time.monotonic() + AGENT_PATIENCE_S
            if by is None or time.monotonic() >= press_at:
                await _press(session)
                by = by or "ctrl-alt-del"
                press_at = time.monotonic() + PRESS_AGAIN_S
        wait_s = min(left_s, max(0.1, press_at - time.monotonic()))
        if await _happened(vm, events, asked_at_s, wait_s):
            return by
    return None


async def _happened(
    vm: VM, events: Listener, since_s: float, wait_s: float
) -> bool:
    """Wait for the guest's reset; false: it did not come.

    :param since_s: seconds since 1970; earlier ones do not count
    """
    try:
        async with asyncio.timeout(wait_s):
            while True:
                event = await events.get()
                if event.name == "SHUTDOWN":
                    raise _ended(vm)
                if event.time_s >= since_s and event.data.get("guest"):
                    return True
    except TimeoutError:
        return False


async def _press(session: Session) -> None:
    await session.execute("send-key", _CTRL_ALT_DEL)


def _ended(vm: VM) -> QemuCliError:
    return QemuCliError(
        f"'{vm.name}' has shut down instead of rebooting",
        hint=None if vm.foreign else f"'qemu start {vm.name}' starts it again",
    )
