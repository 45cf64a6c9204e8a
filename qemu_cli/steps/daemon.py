"""The step that starts a program which stays: a server of images."""

import asyncio
import contextlib
import json
import os
import re
import shlex
import signal
from pathlib import Path
from typing import Any

from qemu_cli.errors import NotFoundError
from qemu_cli.proc import Process, ProcFS, send_signal, wait_exit
from qemu_cli.steps import nbd
from qemu_cli.steps.base import Hands, Step
from qemu_cli.steps.tool import run_tool

#: How long it may take to write what clients wrote, and to end.
END_TIMEOUT_S = 30.0
_LOOK_S = 0.01

_PROGRAMS = re.compile(r"qemu-storage-daemon|qemu-nbd")


class Daemon(Step, frozen=True, tag=True):
    """Run a program that puts itself in the background when it serves.

    ``pid_file`` is in its argv, which is how it is found again;
    ``sockets`` are what it listens on, removed when it has ended.
    """

    argv: tuple[str, ...]
    pid_file: str
    sockets: tuple[str, ...] = ()

    def describe(self) -> str:
        return shlex.join(self.argv)

    async def do(self, hands: Hands) -> None:
        await self.undo(hands)  # what a killed program left half-way
        await run_tool(self.argv)

    async def undo(self, hands: Hands) -> None:
        await end(self.pid_file)
        for path in self.sockets:
            Path(path).unlink(missing_ok=True)


class EndDaemon(Step, frozen=True, tag=True):
    """End such a program in good order.  It can't be undone."""

    pid_file: str
    sockets: tuple[str, ...] = ()

    def describe(self) -> str:
        return f"kill $(cat {shlex.quote(self.pid_file)})"

    async def do(self, hands: Hands) -> None:
        await end(self.pid_file)
        for path in self.sockets:
            Path(path).unlink(missing_ok=True)


class Withdraw(Step, frozen=True, tag=True):
    """Have a daemon serve one export no more, and forget its node.

    A daemon that has ended serves nothing.

    :param monitor: its QMP socket
    :param id: of the export, and of the node
    :param hard: also when a client is connected: it is cut off
    """

    pid_file: str
    monitor: str
    id: str
    hard: bool = False

    def describe(self) -> str:
        arguments = {"id": self.id, "mode": self._mode}
        message = {"execute": "block-export-del", "arguments": arguments}
        return f"qmp {json.dumps(message)}  # to {self.monitor}"

    @property
    def _mode(self) -> str:
        return "hard" if self.hard else "safe"

    async def do(self, hands: Hands) -> None:
        for process in running(self.pid_file):
            daemon = _Talks(hands, self.monitor, process)
            await nbd.drop(daemon, self.id, self._mode)
            arguments = {"flat": True}
            nodes = await daemon.execute("query-named-block-nodes", arguments)
            if self.id in {each["node-name"] for each in nodes}:
                await daemon.execute("blockdev-del", {"node-name": self.id})


class _Talks:
    """Talks to a daemon as steps talk to the VM's QEMU."""

    def __init__(self, hands: Hands, monitor: str, process: Process) -> None:
        self._hands = hands
        self._monitor = monitor
        self._process = process

    async def runs(self) -> bool:
        now = ProcFS().process(self._process.pid)
        return bool(now and now.start_time == self._process.start_time)

    async def execute(self, command: str, arguments: dict[str, Any]) -> Any:
        return await self._hands.tell(
            self._monitor, self._process.pid, command, arguments
        )


def running(pid_file: str) -> list[Process]:
    """Find the processes of a daemon: itself, and who waits for it to start.

    What the file says is not needed: a daemon that is just starting has
    not written it.
    """
    return [
        process
        for process in ProcFS().processes(_PROGRAMS)
        if pid_file in process.argv
    ]


async def end(pid_file: str) -> None:
    """Have a daemon end, if it runs; kill it when it does not in time."""
    while found := running(pid_file):
        for process in found:
            await _end(process)
    Path(pid_file).unlink(missing_ok=True)


async def _end(process: Process) -> None:
    procfs = ProcFS()
    with contextlib.suppress(NotFoundError):
        pidfd = procfs.open_pidfd(process)
        try:
            send_signal(pidfd, signal.SIGTERM)
            send_signal(pidfd, signal.SIGCONT)  # it may be stopped
            if not await _gone(pidfd, END_TIMEOUT_S):
                send_signal(pidfd, signal.SIGKILL)
                await _gone(pidfd, END_TIMEOUT_S)
        finally:
            os.close(pidfd)


async def _gone(pidfd: int, timeout_s: float) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not wait_exit(pidfd, 0):
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_LOOK_S)
    return True
