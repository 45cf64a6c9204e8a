"""A line to the agent, which others get now and then.

The agent serves one client at a time, and what we do can take hours.
Programs and open files in the guest do not end with a connection.
"""

import asyncio
import contextlib
import time

from qemu_cli.errors import RefusedError
from qemu_cli.instance.host import Host
from qemu_cli.instance.inside import agent
from qemu_cli.instance.vm import VM
from qemu_cli.qmp.agent import Agent

#: Others get the line after this, in seconds: they wait for five, and what
#: is on its way then takes up to one.  It costs a tenth of a second each
#: time, for the agent only looks now and then whether somebody is there.
_HOLD_S = 3.5
#: How long those who wait need to notice that it is free, in seconds.
_PAUSE_S = 0.04


class Line:
    """A connection that is made when it is needed."""

    def __init__(self, host: Host, vm: VM) -> None:
        self._host = host
        self.vm = vm
        self._stack = contextlib.AsyncExitStack()
        self._agent: Agent | None = None
        self._since = 0.0

    async def agent(self) -> Agent:
        """The agent; connects if it must.

        :raise QemuCliError: see :func:`qemu_cli.instance.inside.agent`
        """
        if self._agent and time.monotonic() - self._since > _HOLD_S:
            await self.hang_up()
            await asyncio.sleep(_PAUSE_S)
        if self._agent is None:
            self._agent = await self._stack.enter_async_context(
                agent(self._host, self.vm)
            )
            self._since = time.monotonic()
        return self._agent

    async def hang_up(self) -> None:
        """Let others talk to the agent."""
        self._agent = None
        await self._stack.aclose()


def is_frozen(error: RefusedError) -> bool:
    """Whether it was refused because somebody has frozen the guest."""
    return error.error_class == "CommandNotFound" and "frozen" in str(error)
