"""The guest agent: own client, for ``qemu.qmp`` can't speak to it.

::

    async with sessions.agent(vm.monitors) as agent:
        done = await agent.run(["/bin/uname", "-r"])

qemu-ga serves one client at a time: who waits for long in the guest
closes the connection meanwhile.  Programs and open files go on without.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qemu_cli.qmp.agent.conversation import MESSAGE_MAX
from qemu_cli.qmp.agent.files import Files
from qemu_cli.qmp.agent.programs import Finished, Programs
from qemu_cli.qmp.agent.system import (
    AgentInfo,
    FileSystem,
    Guest,
    Interface,
    System,
    User,
)
from qemu_cli.qmp.connect import connect
from qemu_cli.qmp.trace import Trace

__all__ = (
    "Agent",
    "AgentInfo",
    "FileSystem",
    "Finished",
    "Interface",
    "System",
    "User",
    "open_agent",
)


class Agent(Guest, Programs, Files):
    """A conversation with the agent of one guest."""


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
