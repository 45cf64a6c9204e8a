"""Look first, then connect to a monitor.

A second client of a monitor hangs, and one that gave up keeps its place
in the queue; a stopped QEMU answers nobody.  /proc tells both without
connecting.
"""

import asyncio
import errno
import os
import socket

from qemu_cli.errors import (
    BusyError,
    ConnectionLostError,
    QemuCliError,
    StateError,
    TimedOutError,
)
from qemu_cli.proc import ProcFS
from qemu_cli.proc.sock_diag import peer_inode
from qemu_cli.proc.sockets import CONNECTED
from qemu_cli.qmp.address import is_unix, parse, peer_pid

#: How often a held monitor is looked at again.
RETRY_S = 0.02


async def connect(
    address: str,
    pid: int | None,
    *,
    wait_s: float,
    timeout_s: float,
    bound: str | None = None,
) -> socket.socket:
    """Connect when nobody else is served.

    :param pid: the process that must answer; None: whoever does
    :param wait_s: how long to wait while another client is served
    :param timeout_s: how long the connecting itself may take
    :param bound: what the server calls the address, if not so
    :return: a connected, non-blocking socket
    :raise BusyError: another client holds it; says who
    :raise StateError: nobody listens, a stopped process does, or another
        one than ``pid``
    :raise TimedOutError: a TCP connection was not made in time
    """
    check_running(pid)
    await _until_unserved(bound or address, pid, wait_s)
    family, target = parse(address)
    sock = socket.socket(family)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(timeout_s):
            # asyncio mistakes EAGAIN (the queue is full) for connected.
            if family == socket.AF_UNIX:
                sock.connect(target)
            else:
                await asyncio.get_running_loop().sock_connect(sock, target)
        peer = peer_pid(sock) if family == socket.AF_UNIX else pid
        if pid is not None and peer != pid:
            raise StateError(
                f"process {peer} listens at {address}, not process {pid}",
                hint="another QEMU took over the path; see 'qemu doctor'",
            )
    except TimeoutError:
        sock.close()
        raise TimedOutError(f"{address} can't be reached") from None
    except OSError as error:
        sock.close()
        raise _explained(error, address) from None
    except BaseException:
        sock.close()
        raise
    return sock


def check_running(pid: int | None) -> None:
    """Make sure that a process can answer.

    :raise StateError: it has ended, or SIGSTOP or a debugger holds it
    """
    process = ProcFS().process(pid) if pid is not None else None
    if pid is not None and process is None:
        raise StateError(f"QEMU (pid {pid}) has ended")
    if process is not None and process.stopped:
        raise StateError(
            f"QEMU (pid {pid}) is stopped by a signal or a debugger",
            hint=f"'kill -CONT {pid}' lets it go on",
        )


def busy(address: str) -> BusyError:
    """Say who holds a monitor, or another socket of QEMU's."""
    other = ProcFS().holder(address) if is_unix(address) else None
    who = "another client"
    if other is not None:
        who = f"'{' '.join(other.argv[:3])}' (pid {other.pid})"
    return BusyError(
        f"{who} holds {address}",
        hint="it serves one client at a time; end that one first",
    )


def unanswered(
    address: str, pid: int | None, bound: str | None = None
) -> QemuCliError:
    """Say why a monitor that had taken our connection did not greet.

    Either it has come to serve somebody else, or it serves nobody.
    """
    path = bound or address
    if not is_unix(path):
        return busy(address)  # whom it serves can't be seen
    # Our own connection is closed by now, and has no other end.
    for one in ProcFS().unix_at(pid or os.getpid(), path):
        is_served = one.state == CONNECTED and not one.listening
        if is_served and peer_inode(one.inode):
            return busy(address)
    return TimedOutError(
        f"QEMU does not greet at {address}",
        hint="it may be busy, or stuck for good; try again",
    )


async def _until_unserved(
    address: str, pid: int | None, wait_s: float
) -> None:
    if not is_unix(address):
        return
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    while ProcFS().monitor_use(pid or os.getpid(), address)[0]:
        if loop.time() >= deadline:
            raise busy(address)
        await asyncio.sleep(RETRY_S)


def _explained(error: OSError, address: str) -> QemuCliError:
    match error.errno:
        case errno.ENOENT | errno.ECONNREFUSED:
            return StateError(
                f"no QEMU listens at {address}",
                hint="if the VM runs, 'qemu doctor' explains it",
            )
        case errno.EAGAIN:
            return busy(address)
        case errno.EACCES | errno.EPERM:
            return StateError(
                f"no permission to connect to {address}",
                hint="it is another user's VM",
            )
        case _:
            return ConnectionLostError(f"{address}: {error.strerror}")
