"""A tap device on a bridge, from QEMU's set-uid helper.

QEMU would run the helper itself, but its sandbox forbids that; so we do,
and pass the descriptor on.  See qemu-bridge-helper in qemu-system(1).
"""

import os
import shutil
import socket
import subprocess

from qemu_cli.errors import NotFoundError, RefusedError

_PLACES = (
    "/usr/lib/qemu/qemu-bridge-helper",
    "/usr/libexec/qemu-bridge-helper",
    "/usr/local/libexec/qemu-bridge-helper",
)


def helper() -> str:
    """Find the helper.

    :raise NotFoundError: it is not installed
    """
    for place in _PLACES:
        if os.access(place, os.X_OK):
            return place
    if found := shutil.which("qemu-bridge-helper"):
        return found
    raise NotFoundError(
        "qemu-bridge-helper is not installed",
        hint="on Debian: apt install qemu-system-common",
    )


def open_tap(bridge: str) -> int:
    """Return the descriptor of a new tap device on a bridge.

    :raise RefusedError: the helper refused; the message has its words
    """
    ours, its = socket.socketpair()
    with ours, its:
        result = subprocess.run(
            [
                helper(),
                "--use-vnet",
                f"--br={bridge}",
                f"--fd={its.fileno()}",
            ],
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise RefusedError(
                f"no tap device on bridge '{bridge}': {result.stderr.strip()}",
                hint=f"root allows it with 'allow {bridge}' in "
                "/etc/qemu/bridge.conf",
            )
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    return descriptors[0]
