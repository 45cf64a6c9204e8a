"""Disks of a real guest: it sees what changes, and loses nothing."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest
from tests.functional.disks.conftest import DiskVM
from tests.functional.ext4_guest import boot, ok, shell
from tests.functional.until import until

SLOWLY = Path(__file__).parents[1] / "slowly.py"
SPEED = 8 << 20  # bytes a second: four seconds for a disk of 32 MiB

#: It writes all the time, and notes how often.
WRITER = (
    "rm -f /tmp/stop; (i=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); "
    "dd if=/dev/urandom of=/mnt/f$((i%8)) bs=64k count=4 conv=fsync "
    "2>/dev/null; echo $i > /tmp/count; done; touch /tmp/stopped) &"
)
STOP = "touch /tmp/stop; while [ ! -e /tmp/stopped ]; do sleep 0.1; done"


@pytest.fixture(scope="module")
def guest(
    home: QemuHome,
    tiny_guest: TinyGuest,
    tmp_path_factory: pytest.TempPathFactory,
) -> DiskVM:
    vm = DiskVM(home, "g")
    boot(vm, tiny_guest, tmp_path_factory.mktemp("fs"))
    return vm


def disc(file: Path, label: str) -> Path:
    """What a CD drive can read; its sectors are of 2 KiB."""
    with file.open("wb") as stream:
        stream.truncate(1 << 20)
    ok("mkfs.ext4", "-q", "-b", "2048", "-L", label, file)
    return file


def said(vm: DiskVM, line: str) -> str:
    """What a command writes in the guest, however long it takes."""
    log = vm.paths.serial_log
    before = log.stat().st_size

    def written() -> str:
        return log.read_bytes()[before:].decode(errors="replace")

    shell(vm, f"echo BE''GIN; {line}; echo E''ND")
    until(lambda: "END" in written(), line)
    return written().partition("BEGIN")[2].partition("END")[0].strip()


def count(vm: DiskVM) -> int:
    """How often the guest has written."""
    return int(said(vm, "cat /tmp/count"))


def slowly(vm: DiskVM, *words: str | Path) -> None:
    """Run a command whose job takes seconds; the guest must get on."""
    before = count(vm)
    done = subprocess.run(
        [sys.executable, SLOWLY, str(SPEED), *words],
        env=vm.home.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert count(vm) > before


def content(vm: DiskVM, directory: Path) -> str:
    """The checksum of the disk, from the file that the definition names."""
    raw = directory / "raw"
    ok("qemu-img", "convert", "-U", "-O", "raw", vm.image(), raw)
    return md5(raw)


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()


@pytest.fixture
def writing(guest: DiskVM) -> Iterator[DiskVM]:
    """The guest, which writes to its disk meanwhile."""
    shell(guest, WRITER)
    yield guest
    said(guest, STOP)


def test_jobs_while_it_writes(
    guest: DiskVM, writing: DiskVM, tmp_path: Path
) -> None:
    """Streamed, mirrored and committed; what it reads is what is there."""
    vm = writing
    vm.ok("snapshot create", "s1", "--external")
    slowly(vm, "disk", "flatten", vm.name, "disk0")
    slowly(vm, "disk", "move", vm.name, "disk0", tmp_path / "moved.qcow2")
    vm.ok("snapshot create", "s2", "--external")
    slowly(vm, "snapshot", "delete", vm.name, "s2", "--yes")
    said(vm, STOP)
    assert int(said(vm, "cat /tmp/count")) > 10
    said(vm, "umount /mnt && sync")
    seen = said(vm, "md5sum /dev/vda").split()[0]
    assert seen == content(vm, tmp_path)
    said(vm, "mount /dev/vda /mnt")
    ok("qemu-img", "check", "-U", vm.image())


def test_it_sees_a_resize_at_once(guest: DiskVM) -> None:
    before = int(said(guest, "cat /sys/block/vda/size"))
    guest.ok("disk resize", "disk0", "+1M")
    assert int(said(guest, "cat /sys/block/vda/size")) == before + 2048


def test_it_sees_a_disk_and_lets_it_go(guest: DiskVM) -> None:
    guest.ok("disk add", "8M")
    until(lambda: "vdb" in said(guest, "ls /sys/block"))
    assert said(guest, "cat /sys/block/vdb/size") == "16384"
    guest.ok("disk remove", "disk1", "--yes")
    assert "vdb" not in said(guest, "ls /sys/block")
    assert guest.devices().count("disk1") == 0


def test_a_cd_that_the_guest_has_mounted(
    home: QemuHome, tiny_guest: TinyGuest, tmp_path: Path
) -> None:
    first = disc(tmp_path / "1.iso", "first")
    second = disc(tmp_path / "2.iso", "second")
    # Its guest has no driver for the drive of a q35.
    vm = DiskVM(home, "m")
    boot(
        *(vm, tiny_guest, tmp_path),
        *("--profile", "microvm", "--cdrom", str(first)),
    )
    assert said(vm, "mkdir -p /cd; mount -o ro /dev/sr0 /cd; echo $?") == "0"
    assert "has locked the drive" in vm.refused(4, "cdrom insert", second)
    assert "--force" in vm.refused(4, "cdrom eject")
    assert md5(first) in said(vm, "md5sum /dev/sr0")
    dry = vm.ok("cdrom insert", second, "--dry-run")
    assert "blockdev-open-tray" in dry.out + dry.err
    said(vm, "umount /cd")
    vm.ok("cdrom insert", second, "--drive", "cdrom0")
    assert md5(second) in said(vm, "md5sum /dev/sr0")
    said(vm, "mount -o ro /dev/sr0 /cd")
    vm.ok("cdrom eject", "--force")
    assert vm.definition["cdroms"][0].get("file") is None
    said(vm, "umount /cd")
