"""Which program a QEMU belongs to.  Pure: one table.

Each of them leaves a mark in the command line that nobody writes by
accident: a path or an id of its own.
"""

from collections.abc import Sequence

HAND = "hand"

#: What stands in the argv, one word a line; all parts of a mark must.
_ARGV = (
    # Another user's, or that of another QEMU_CLI_HOME.
    ("qemu-cli", ("/instances/", "/qemu.pid\n", "/serial.log")),
    ("libvirt", ("\nsocket,id=charmonitor,",)),
    ("libvirt", ("/libvirt/qemu/",)),
    ("lima", ("\n-name\nlima-",)),
    ("lima", ("/.lima/",)),
    ("lima", ("/_lima/",)),  # colima's
    ("proxmox", ("/qemu-server/", ".qmp,")),
    ("incus", ("/incus/", "/qemu.conf\n")),
    ("lxd", ("/lxd/", "/qemu.conf\n")),
    ("multipass", ("/multipassd/",)),
    ("multipass", ("/multipass/",)),
    ("podman", ("/podman/machine/",)),
    ("podman", ("/podman/qmp_",)),
    ("quickemu", ("-monitor.socket,server", "-serial.socket,server")),
    ("vng", ("/virtme/guest/",)),
    ("vng", (" virtme_",)),
    ("vagrant", ("/.vagrant.d/",)),
    ("vagrant", ("/.vagrant/",)),
    ("utm", ("com.utmapp.",)),
    ("android", ("/emulator/qemu/",)),
)

#: What stands in /proc/PID/cgroup; see systemd.slice(5), "machine.slice".
_CGROUP = (
    ("libvirt", "/machine-qemu"),
    ("container", "docker"),
    ("container", "libpod"),
    ("container", "kubepods"),
    ("container", "containerd"),
    ("container", "lxc.payload"),
)


def origin(argv: Sequence[str], cgroup: str) -> str:
    """Name the program that started it, or :data:`HAND`.

    :param cgroup: the text of /proc/PID/cgroup
    """
    words = "\n".join((*argv, ""))
    for name, mark in _ARGV:
        if all(part in words for part in mark):
            return name
    for name, part in _CGROUP:
        if part in cgroup:
            return name
    return HAND
