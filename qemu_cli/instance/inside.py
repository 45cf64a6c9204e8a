"""The guest agent of a VM, and what is said when none answers."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from qemu_cli.errors import BusyError, StateError, TimedOutError
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM

if TYPE_CHECKING:
    from qemu_cli.qmp.agent import Agent
    from qemu_cli.qmp.session import Session

#: An agent that runs answers sooner, in seconds.  QEMU, who knows whether
#: there is one, is asked when this is over: its client costs more.
_AT_ONCE_S = 0.5


class NoAgentError(StateError):
    """No agent runs in the guest, or QEMU has no port for one."""


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
            hint=f"'qemu kill {vm.reference}' ends it",
        )
    if vm.state == "paused":
        raise StateError(
            f"'{vm.name}' is paused{f' ({vm.reason})' if vm.reason else ''}:"
            " its guest can't hear us",
            hint=f"'qemu resume {vm.reference}' first, or "
            f"'qemu quit {vm.reference}'",
        )


def check_has_port(vm: VM) -> None:
    """Refuse to ask an agent that has no way to answer.

    :raise NoAgentError: the machine has no port for one, or none is known
    """
    if vm.monitors.agent is None:
        raise NoAgentError(
            f"'{vm.name}' has no port for a guest agent",
            hint="VMs that 'qemu create' makes have one",
        )


async def agent_is_there(session: "Session") -> bool:
    """Whether the guest has the agent's port open (QAPI query-chardev)."""
    for chardev in await session.execute("query-chardev"):
        if chardev["label"] == "agent0":
            return bool(chardev["frontend-open"])
    return False


@asynccontextmanager
async def agent(host: Host, vm: VM) -> AsyncIterator["Agent"]:
    """Talk to the agent of a running guest.

    :raise NoAgentError: there is none
    :raise StateError: the guest can't hear us
    :raise TimedOutError: there is one, and it does not answer
    :raise BusyError: another client talks to it
    """
    check_can_hear(vm)
    check_has_port(vm)
    async with contextlib.AsyncExitStack() as stack:
        try:
            talk = await stack.enter_async_context(
                host.sessions.agent(vm.monitors, timeout_s=_AT_ONCE_S)
            )
        except (TimedOutError, BusyError) as error:
            if isinstance(error, TimedOutError):
                await _check_is_there(host, vm)
            talk = await stack.enter_async_context(
                host.sessions.agent(vm.monitors)
            )
        yield talk


async def _check_is_there(host: Host, vm: VM) -> None:
    async with host.sessions.open(vm.monitors) as session:
        if await agent_is_there(session):
            return
    raise NoAgentError(
        f"no guest agent runs in '{vm.name}'",
        hint="install qemu-guest-agent in the guest and start it; while it "
        f"boots, 'qemu wait {vm.name} --for agent' waits for it",
    )
