"""A libvirtd with many domains, to measure beside.

It runs in a mount namespace of its own: the host's libvirt is not touched.
/dev has no kvm there: what can be opened and is of no use, libvirt probes
again for each domain, and where KVM is slow that takes half a minute.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PLACES = ("run", "etc/libvirt", "var/lib", "var/cache", "var/log")
_CONFIG = """
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
dynamic_ownership = 0
remember_owner = 0
stdio_handler = "file"
"""
_START = """
set -e
for place in etc/passwd etc/group run etc/libvirt var/lib var/cache var/log
do
    [ -e "/$place" ] || mkdir -p "/$place"
    mount --bind "$1/$place" "/$place"
done
mount -t tmpfs none /dev
mknod -m 666 /dev/null c 1 3
mknod -m 666 /dev/zero c 1 5
mknod -m 666 /dev/full c 1 7
mknod -m 666 /dev/random c 1 8
mknod -m 666 /dev/urandom c 1 9
mkdir /dev/shm
exec /usr/sbin/libvirtd
"""
_DOMAIN = """
<domain type='qemu'>
  <name>vm{number}</name>
  <memory unit='MiB'>8</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices><emulator>{emulator}</emulator></devices>
</domain>
"""


@contextmanager
def domains(directory: Path, count: int) -> Iterator[list[str]]:
    """Start so many domains, paused; yields virsh(1) and how to reach them.

    :param directory: an empty one
    :raise RuntimeError: libvirtd did not come up
    """
    for place in _PLACES:
        (directory / place).mkdir(parents=True)
    (directory / "etc/libvirt/qemu.conf").write_text(_CONFIG)
    for name, more in (
        ("passwd", "libvirt-qemu:x:64055:64055::/:/bin/false\n"),
        ("group", "libvirt-qemu:x:64055:\nkvm:x:64056:\n"),
    ):
        file = directory / "etc" / name
        file.write_text(Path("/etc", name).read_text() + more)
    with (directory / "log").open("w") as log:
        libvirtd = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _START, "sh", directory],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    socket = directory / "run/libvirt/libvirt-sock"
    virsh = ["virsh", "-q", "-c", f"qemu+unix:///system?socket={socket}"]
    try:
        while not socket.exists():
            if libvirtd.poll() is not None:
                raise RuntimeError((directory / "log").read_text())
            time.sleep(0.05)
        emulator = shutil.which("qemu-system-x86_64")
        orders = []
        for number in range(count):
            file = directory / f"{number}.xml"
            file.write_text(_DOMAIN.format(number=number, emulator=emulator))
            orders.append(f"create --paused {file}")
        subprocess.run(
            [*virsh, "; ".join(orders)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        yield virsh
        orders = [f"destroy vm{number}" for number in range(count)]
        subprocess.run([*virsh, "; ".join(orders)], stdout=subprocess.DEVNULL)
    finally:
        libvirtd.kill()
        libvirtd.wait()
        for pid_file in directory.glob("run/libvirt/qemu/*.pid"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid_file.read_text()), 9)
