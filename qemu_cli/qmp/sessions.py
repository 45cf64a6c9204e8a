"""The one service object for everything that talks to QEMU.

Cheap to import and to make: what costs (``qemu.qmp``, ``asyncio``) is
imported when a session is opened.
"""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

from qemu_cli.errors import StateError
from qemu_cli.qmp.address import Monitors
from qemu_cli.qmp.probe import Answer, Target, probe

if TYPE_CHECKING:
    from qemu_cli.qmp.agent import Agent
    from qemu_cli.qmp.session import Session
    from qemu_cli.qmp.trace import Trace


class Sessions:
    """Opens sessions; the program has one of these.

    :param connect_timeout_s: until greeting and capabilities are there
    :param lock_timeout_s: how long to wait for another command
    :param trace: sees every message
    :param who: the command, as those who wait for us shall read it
    """

    def __init__(
        self,
        *,
        connect_timeout_s: float = 5.0,
        lock_timeout_s: float = 10.0,
        trace: "Trace | None" = None,
        who: str = "qemu",
    ) -> None:
        self.connect_timeout_s = connect_timeout_s
        self.lock_timeout_s = lock_timeout_s
        self.trace = trace
        self.who = who

    def waiting(
        self, *, connect_timeout_s: float, lock_timeout_s: float
    ) -> "Sessions":
        """Return the same, with another patience."""
        return Sessions(
            connect_timeout_s=connect_timeout_s,
            lock_timeout_s=lock_timeout_s,
            trace=self.trace,
            who=self.who,
        )

    @asynccontextmanager
    async def open(
        self,
        monitors: Monitors,
        *,
        role: Literal["control", "follower"] = "control",
        timeout_s: float | None = None,
    ) -> AsyncIterator["Session"]:
        """Open a session; nothing is connected before it is used.

        :param role: ``control`` changes the VM; ``follower`` watches, and
            keeps one follower monitor until it ends
        :param timeout_s: to wait for another command, if not the default
        :raise BusyError: as a follower: all followers are held
        :raise StateError: as a follower: QEMU is not there, or stopped
        """
        from qemu_cli.qmp.session import Session

        # It logs each failure as an error, and raises it too.
        logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL + 1)
        wait_s = self.lock_timeout_s if timeout_s is None else timeout_s
        session = Session(self, monitors, role, wait_s)
        if role == "control":
            yield session
        else:
            async with session.exchange():
                yield session

    @asynccontextmanager
    async def agent(
        self, monitors: Monitors, *, timeout_s: float | None = None
    ) -> AsyncIterator["Agent"]:
        """Talk to the guest agent; ask QEMU first whether there is one.

        Without an agent in the guest the port connects, and is silent:
        see ``frontend-open`` in query-chardev (qapi/char.json).

        :param timeout_s: until the agent has answered the first time
        :raise StateError: the VM has no agent port
        :raise TimedOutError: no agent answers
        """
        from qemu_cli.qmp.agent import open_agent

        if monitors.agent is None:
            raise StateError(
                "the VM has no port for the guest agent",
                hint="VMs that 'qemu create' makes have one",
            )
        limit_s = self.connect_timeout_s if timeout_s is None else timeout_s
        async with open_agent(
            monitors.agent, monitors.pid, timeout_s=limit_s, trace=self.trace
        ) as agent:
            yield agent

    def probe(
        self, targets: Iterable[Target], *, timeout_s: float = 1.0
    ) -> list[Answer]:
        """Ask many monitors at once; see :mod:`qemu_cli.qmp.probe`."""
        return probe(targets, timeout_s, self.trace)
