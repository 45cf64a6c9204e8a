"""Which program a QEMU belongs to.  Pure: one table.

Each of them leaves a mark in the command line that nobody writes by
accident: a path or an id of its own.
"""

import re
from collections.abc import Sequence

HAND = "hand"

#: What stands in the argv, one word a line.
_ARGV = (
    # Another user's, or that of another QEMU_CLI_HOME.
    ("qemu-cli", r"^-pidfile\n.*/instances/[^/\n]+/qemu\.pid$"),
    ("libvirt", r"^socket,id=charmonitor,|/libvirt/qemu/"),
    ("lima", r"^-name\nlima-|/\.lima/|/_lima/"),
    ("proxmox", r"/qemu-server/\d+\.(qmp|pid)"),
    ("incus", r"/incus/.*/qemu\.(conf|pid)$"),
    ("lxd", r"/lxd/.*/qemu\.(conf|pid)$"),
    ("multipass", r"/multipassd?/"),
    ("podman", r"/podman/machine/|/podman/qmp_"),
    ("quickemu", r"-monitor\.socket,server(?s:.*)-serial\.socket,server"),
    ("vng", r"/virtme/guest/|\bvirtme_\w+="),
    ("vagrant", r"/\.vagrant(\.d)?/"),
    ("utm", r"com\.utmapp\.|/UTM\.app/"),
    ("android", r"\A.*/emulator/qemu/"),
)

#: What stands in /proc/PID/cgroup; see systemd.slice(5), "machine.slice".
_CGROUP = (
    ("libvirt", r"/machine-qemu"),
    ("container", r"docker|libpod|kubepods|containerd|lxc\.payload"),
)


def origin(argv: Sequence[str], cgroup: str) -> str:
    """Name the program that started it, or :data:`HAND`.

    :param cgroup: the text of /proc/PID/cgroup
    """
    words = "\n".join(argv)
    for name, mark in _ARGV:
        if re.search(mark, words, re.MULTILINE):
            return name
    for name, mark in _CGROUP:
        if re.search(mark, cgroup):
            return name
    return HAND
