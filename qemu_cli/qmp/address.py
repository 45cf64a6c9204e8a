"""Where and how to reach one QEMU."""

import socket
import struct
from typing import NamedTuple

from qemu_cli.errors import QemuCliError, UsageError


class Monitors(NamedTuple):
    """The monitors of one QEMU, and what proves that it is that QEMU.

    An address is a path, an abstract name (``@name``) or ``host:port``.
    A QEMU that somebody else started mostly has one monitor: it is the
    control monitor then.
    """

    control: str | None = None  # for changes, under the lock
    probe: str | None = None  # for `list`, held under a second
    followers: tuple[str, ...] = ()  # for events, wait and progress
    agent: str | None = None  # the guest agent's port; not QMP
    lock: str | None = None  # a file: flock for the control monitor
    pid: int | None = None  # SO_PEERCRED must say this
    bound: str | None = None  # what QEMU calls `control`, if not so
    problem: QemuCliError | None = None  # why we may not use `control`
    human: bool = False  # `control` is HMP; `problem` says what that lacks


def is_unix(address: str) -> bool:
    """Tell a unix socket from ``host:port``."""
    return "/" in address or address.startswith("@")


def parse(address: str) -> tuple[socket.AddressFamily, str | tuple[str, int]]:
    """Turn an address into what :mod:`socket` takes.

    :raise UsageError: it is neither a path nor ``host:port``
    """
    if is_unix(address):
        # unix(7): the name of an abstract socket begins with a NUL.
        name = "\0" + address[1:] if address[0] == "@" else address
        return socket.AF_UNIX, name
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(
            f"'{address}' is no monitor address",
            hint="give a path with a '/' in it, @NAME, or HOST:PORT",
        )
    if host.startswith("["):
        return socket.AF_INET6, (host.strip("[]"), int(port))
    return socket.AF_INET, (host or "127.0.0.1", int(port))


def short_name(address: str) -> str:
    """Name a monitor in messages: ``web/control`` for its socket."""
    if not is_unix(address):
        return address
    return "/".join(address.removesuffix(".sock").split("/")[-2:])


def peer_pid(sock: socket.socket) -> int:
    """The process that listens at the other end (SO_PEERCRED, unix(7)).

    It is fixed when the connection is made; 0 is a process of a pid
    namespace that we can't see.
    """
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid: int = struct.unpack("3i", credentials)[0]
    return pid
