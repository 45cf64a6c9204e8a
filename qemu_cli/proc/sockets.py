"""The sockets of a network namespace, as /proc/PID/net shows them."""

import socket
import sys
from typing import NamedTuple


class UnixSocket(NamedTuple):
    """A line of /proc/PID/net/unix that has a name."""

    inode: int
    state: int  # see CONNECTED and WAITING
    listening: bool
    path: str  # as it was bound: perhaps relative; @ is abstract


class TcpSocket(NamedTuple):
    """A line of /proc/PID/net/tcp or tcp6; addresses are ``host:port``."""

    inode: int  # 0: nobody has accepted it
    state: int  # see TCP_CONNECTED and TCP_LISTENING
    local: str
    remote: str


#: States of the server's end of a connection: accepted, or in the queue.
CONNECTED = 3
WAITING = 2

#: The same for TCP (include/net/tcp_states.h).
TCP_CONNECTED = 1
TCP_LISTENING = 10

_LISTENING = 0x10000  # the flag __SO_ACCEPTCON


def parse_unix(text: str) -> dict[str, list[UnixSocket]]:
    """Parse net/unix: Num RefCount Protocol Flags Type St Inode Path."""
    table: dict[str, list[UnixSocket]] = {}
    for line in text.splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) < 8 or not fields[6].isdecimal():
            continue  # no name; or a name with a newline in it
        flags, state, path = int(fields[3], 16), int(fields[5]), fields[7]
        table.setdefault(path, []).append(
            UnixSocket(int(fields[6]), state, bool(flags & _LISTENING), path)
        )
    return table


def parse_tcp(text: str) -> list[TcpSocket]:
    """Parse net/tcp: sl local remote st … (ten fields), inode the tenth."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        local, remote = _address(fields[1]), _address(fields[2])
        state, inode = int(fields[3], 16), int(fields[9])
        found.append(TcpSocket(inode, state, local, remote))
    return found


def _address(text: str) -> str:
    """Turn ``0100007F:1F90`` into ``127.0.0.1:8080``.

    An address is one or four numbers of 32 bits in the host's byte order.
    """
    host, _, port = text.partition(":")
    packed = b"".join(
        int(host[at : at + 8], 16).to_bytes(4, sys.byteorder)
        for at in range(0, len(host), 8)
    )
    if len(packed) == 4:
        return f"{socket.inet_ntop(socket.AF_INET, packed)}:{int(port, 16)}"
    ip = socket.inet_ntop(socket.AF_INET6, packed)
    mapped = ip.removeprefix("::ffff:")
    if mapped != ip and "." in mapped:
        return f"{mapped}:{int(port, 16)}"
    return f"[{ip}]:{int(port, 16)}"
