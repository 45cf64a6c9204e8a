"""Who has a port of the host already."""

import errno
import os
import socket

from qemu_cli.errors import QemuCliError, StateError, UsageError
from qemu_cli.instance import ports
from qemu_cli.instance.create import taken_ports
from qemu_cli.instance.host import Host
from qemu_cli.instance.wish import ForwardWish
from qemu_cli.proc import ProcFS
from qemu_cli.proc.sockets import TCP_LISTENING, TcpSocket
from qemu_cli.proc.view import View

_HINT = "without a host port a free one is chosen"

#: What a UDP socket without a peer is in (include/net/tcp_states.h).
_UDP_UNCONNECTED = 7

#: Addresses that stand for all of the host.
_ALL = ("0.0.0.0", "[::]")  # noqa: S104


def host_port(host: Host, wish: ForwardWish) -> int:
    """Return the port that a forward gets; none of any instance.

    :raise StateError: it belongs to an instance
    :raise UsageError: this host does not have the address
    """
    taken = taken_ports(host)
    owner = taken.get((wish.protocol, wish.host_port))
    if owner:
        raise StateError(
            f"the host port {wish.host_port} belongs to instance '{owner}'",
            hint=_HINT,
        )
    return wish.host_port or ports.choose(
        wish.host_address,
        {number for _, number in taken},
        udp=wish.protocol == "udp",
    )


def check_free(protocol: str, address: str, port: int) -> None:
    """Refuse a port that a program listens on now.

    :raise StateError: it names the program
    :raise UsageError: the host does not have the address
    """
    udp = protocol == "udp"
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as attempt:
        if not udp:  # as libslirp does; two of UDP would share the port
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((address, port))
        except OSError as error:
            raise _refusal(protocol, address, port, error) from None


def _refusal(
    protocol: str, address: str, port: int, error: OSError
) -> QemuCliError:
    where = f"{address}:{port}/{protocol}"
    if error.errno == errno.EADDRINUSE:
        who = listener(protocol, address, port) or "another program"
        return StateError(f"{who} listens on {where} already", hint=_HINT)
    if error.errno == errno.EACCES:
        return StateError(
            f"{where}: ports this low need a right that you don't have",
            hint="forward one from 1024 up",
        )
    return UsageError(f"{where} can't be forwarded: {error.strerror}")


def listener(protocol: str, address: str, port: int) -> str | None:
    """Name the program that listens on a port, as ``nginx (pid 4711)``.

    :return: None when it is another user's: we may not see whose
    """
    procfs = ProcFS()
    view = View(procfs, os.getpid())
    sockets = view.udp() if protocol == "udp" else view.tcp()
    inodes = {
        each.inode
        for each in sockets
        if each.state in (TCP_LISTENING, _UDP_UNCONNECTED)
        and _meets(each, address, port)
    }
    for process in procfs.owners(inodes).values():
        program = process.argv[0].rpartition("/")[2] if process.argv else ""
        name = program or procfs.executable_name(process.pid) or "a program"
        return f"{name} (pid {process.pid})"
    return None


def _meets(one: TcpSocket, address: str, port: int) -> bool:
    host, _, number = one.local.rpartition(":")
    if number != str(port):
        return False
    return host == address or host in _ALL or address in _ALL
