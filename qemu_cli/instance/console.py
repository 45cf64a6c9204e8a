"""The guest's first serial port: bytes to it, and bytes from it.

QEMU's serial socket serves one client at a time; who has it is in a lock,
so that the next one is told.
"""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

from qemu_cli.errors import StateError
from qemu_cli.instance import process
from qemu_cli.instance.host import Host
from qemu_cli.instance.looking import look
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS
from qemu_cli.qmp import lock
from qemu_cli.qmp.connect import connect

#: Ctrl-], as in telnet(1).
ESCAPE = b"\x1d"

#: How long what was typed before the escape may take to be sent.
_FLUSH_TIMEOUT_S = 1.0
_END_TIMEOUT_S = 5.0

#: A pipe that is ready takes this much without blocking (PIPE_BUF).
_PIECE_BYTES = 4096

#: ``left``: the escape was typed, or the terminal is gone; ``silent``: the
#: input ended, and then the guest said no more; ``ended``: QEMU has.
Why = Literal["left", "silent", "ended"]


@asynccontextmanager
async def connected(host: Host, vm: VM) -> AsyncIterator[socket.socket]:
    """Hold the VM's serial socket, alone.

    :raise StateError: it does not run, or does not answer
    :raise BusyError: somebody is attached; says who
    """
    if vm.process is None:
        raise StateError(
            f"'{vm.name}' does not run: it is {vm.state}",
            hint=f"qemu start --console {vm.name}",
        )
    now = asyncio.get_running_loop().time()
    what = f"the console of '{vm.name}'"
    async with lock.locked(
        str(vm.paths.console_lock), host.who, now, what=what
    ):
        sock = await connect(
            str(vm.paths.serial_socket),
            vm.process.pid,
            wait_s=0,
            timeout_s=host.sessions.connect_timeout_s,
        )
        with sock:
            yield sock


async def pump(
    sock: socket.socket,
    source: int,
    target: int,
    *,
    terminal: bool,
    silence_s: float,
) -> Why:
    """Carry bytes both ways.

    :param source: a descriptor, for what goes to the guest
    :param target: a descriptor, for what comes from it
    :param terminal: the source is one: :data:`ESCAPE` ends it at once,
        also while the guest takes nothing
    :param silence_s: when the source has ended, how long the guest must
        have been silent
    """
    loop = asyncio.get_running_loop()
    # A person may type ahead; a file waits until the guest has taken it.
    queue: asyncio.Queue[bytes] = asyncio.Queue(0 if terminal else 1)
    heard = asyncio.Event()

    async def read() -> None:
        while data := await _read(source):
            if terminal:
                data, escape, _ = data.partition(ESCAPE)
                if escape:
                    await queue.put(data)
                    return
            await queue.put(data)

    async def send() -> None:
        while True:
            await loop.sock_sendall(sock, await queue.get())
            queue.task_done()

    async def show() -> None:
        while data := await loop.sock_recv(sock, 65536):
            heard.set()
            await _write(target, data)

    async def end_of_input() -> None:
        await read()
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_TIMEOUT_S if terminal else None):
                await queue.join()
        while not terminal:
            heard.clear()
            try:
                async with asyncio.timeout(silence_s):
                    await heard.wait()
            except TimeoutError:
                return

    ours = asyncio.ensure_future(end_of_input())
    its = [asyncio.ensure_future(send()), asyncio.ensure_future(show())]
    try:
        await asyncio.wait([ours, *its], return_when=asyncio.FIRST_COMPLETED)
        for task in its:
            if task.done():
                with suppress(ConnectionError):
                    task.result()
                return "ended"
        ours.result()
        return "left" if terminal else "silent"
    finally:
        for task in (ours, *its):
            task.cancel()
        await asyncio.gather(ours, *its, return_exceptions=True)


async def how_it_ended(host: Host, vm: VM) -> VM:
    """Look at a VM that has closed its serial port.

    Its process may need a moment more to be gone.
    """
    if vm.process:
        with suppress(Exception):
            pidfd = ProcFS().open_pidfd(vm.process)
            try:
                await process.gone(pidfd, _END_TIMEOUT_S)
            finally:
                os.close(pidfd)
    return look(host.paths, [vm.name], ProcFS(), host.probe)[0]


async def _read(descriptor: int) -> bytes:
    await _ready(descriptor, write=False)
    try:
        return os.read(descriptor, _PIECE_BYTES)
    except OSError as error:
        if error.errno == errno.EIO:  # the terminal's other end is gone
            return b""
        raise


async def _write(descriptor: int, data: bytes) -> None:
    while data:
        await _ready(descriptor, write=True)
        written = os.write(descriptor, data[:_PIECE_BYTES])
        data = data[written:]


async def _ready(descriptor: int, *, write: bool) -> None:
    """Wait until a descriptor can be read or written without blocking."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    watch = loop.add_writer if write else loop.add_reader
    try:
        watch(descriptor, ready.set)
    except PermissionError:
        # epoll_ctl(2): a regular file or /dev/null is always ready.
        await asyncio.sleep(0)
        return
    try:
        await ready.wait()
    finally:
        (loop.remove_writer if write else loop.remove_reader)(descriptor)
