"""Ports of the host that forwards listen on."""

import socket
from collections.abc import Collection

from qemu_cli.errors import StateError, UsageError


def choose(address: str, taken: Collection[int], *, udp: bool = False) -> int:
    """Pick a port that is free now and that no instance has.

    It is stored then, so that it stays the same for the VM's life.

    :param taken: the ports of all instances, running or not
    :raise UsageError: the host does not have that address
    """
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    for _ in range(1000):
        with socket.socket(socket.AF_INET, kind) as attempt:
            try:
                attempt.bind((address, 0))
            except OSError as error:
                raise UsageError(
                    f"no port of {address} can be forwarded: {error.strerror}"
                ) from error
            port: int = attempt.getsockname()[1]
        if port not in taken:
            return port
    raise StateError("all ports of the host are taken")
