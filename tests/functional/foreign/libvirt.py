"""A libvirtd of our own, whose files are all in one directory.

It runs in a mount namespace where its directories are elsewhere: nothing
of the host's libvirt is touched, if it has one.  ``/dev/kvm`` is not
there: where that is slow, libvirt would probe it for half a minute.  The
environment of QEMU is libvirt's: one that has its modules elsewhere
(``QEMU_MODULE_DIR``) has them in the usual place there, too.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qemu_cli.proc import ProcFS, send_signal
from qemu_cli.testing.real_qemu import binary
from tests.functional.strangers import image
from tests.functional.until import until

#: What is ours in there; in this order, "$1/NAME" lies over "/NAME".
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

#: A user that libvirtd wants to know, though it is told to take another.
_USER = "libvirt-qemu:x:64055:64055::/:/bin/false\n"
_GROUPS = "libvirt-qemu:x:64055:\nkvm:x:64056:\n"

_START = """
set -e
for place in etc/passwd etc/group run etc/libvirt var/lib var/cache var/log
do
    [ -e "/$place" ] || mkdir -p "/$place"
    mount --bind "$1/$place" "/$place"
done
[ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm
[ -z "$QEMU_MODULE_DIR" ] ||
    mount --bind "$QEMU_MODULE_DIR" /usr/lib/x86_64-linux-gnu/qemu
exec /usr/sbin/libvirtd
"""

_DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <emulator>{emulator}</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{file}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
"""


class Libvirt:
    """A libvirtd, and what asks it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "run/libvirt/libvirt-sock"
        self.pid = 0

    def virsh(self, *words: str | Path) -> str:
        uri = f"qemu+unix:///system?socket={self.socket}"
        done = subprocess.run(
            ["virsh", "-c", uri, *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr, self.log)
        return done.stdout

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def start(self, name: str) -> int:
        """Define a domain with one disk, and start it; returns its pid."""
        file = image(self.directory / "disk.qcow2")
        domain = self.directory / "domain.xml"
        emulator = shutil.which(binary())
        text = _DOMAIN.format(name=name, emulator=emulator, file=file)
        domain.write_text(text)
        self.virsh("define", domain)
        self.virsh("start", name)
        return int(
            (self.directory / f"run/libvirt/qemu/{name}.pid").read_text()
        )


@contextmanager
def libvirtd(directory: Path) -> Iterator[Libvirt]:
    """Run one; its domains end with it."""
    for place in _PLACES:
        (directory / place).mkdir(parents=True)
    (directory / "etc/libvirt/qemu.conf").write_text(_CONFIG)
    for file, more in (("passwd", _USER), ("group", _GROUPS)):
        known = Path("/etc", file).read_text()
        (directory / "etc" / file).write_text(known + more)
    alone = ["unshare", "--mount"]
    if os.getuid():
        alone += ["--user", "--map-root-user"]
    with (directory / "log").open("w") as log:
        child = subprocess.Popen(
            [*alone, "sh", "-c", _START, "sh", directory],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    found = Libvirt(directory)
    found.pid = child.pid
    try:
        until(lambda: found.socket.exists() or child.poll() is not None)
        assert child.poll() is None, found.log
        yield found
    finally:
        child.kill()
        child.wait()
        _end_all(directory)


def _end_all(directory: Path) -> None:
    procfs = ProcFS()
    for process in procfs.processes(re.compile(r"qemu-system-.*")):
        if any(str(directory) in word for word in process.argv):
            pidfd = procfs.open_pidfd(process)
            try:
                send_signal(pidfd, 9)
            finally:
                os.close(pidfd)
