"""A real guest with a file system of its own on /mnt, and an agent."""

import secrets
import subprocess
import time
from pathlib import Path

from qemu_cli.testing.plugin import TinyGuest
from tests.functional.bare import BareVM
from tests.functional.until import until

BOOT_TIMEOUT_S = 120.0


def ok(*words: str | Path) -> str:
    """Run a program, which must not fail; what it says."""
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def boot(vm: BareVM, guest: TinyGuest, directory: Path, *options: str) -> None:
    """Create a VM whose disk0 is an ext4, and boot it.

    :param directory: for a file in between
    """
    created = vm.home(
        *("create", vm.name, "--kernel", guest.kernel),
        *("--initrd", guest.initrd, "--memory", "256M"),
        *("--append", "console=ttyS0 quiet", "--accel", "tcg"),
        *("--disk", "32M", *options),
    )
    assert created.rc == 0, created.err
    raw = directory / "ext4.raw"
    with raw.open("wb") as stream:
        stream.truncate(32 << 20)
    ok("mkfs.ext4", "-q", "-F", raw)
    disk = vm.paths.directory / "disk0.qcow2"
    ok("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk)
    started = vm.home("start", vm.name)
    assert started.rc == 0, started.err
    end = time.monotonic() + BOOT_TIMEOUT_S
    while "guest#" not in vm.paths.serial_log.read_text(errors="replace"):
        assert time.monotonic() < end
        time.sleep(0.1)


def shell(vm: BareVM, line: str) -> str:
    """Type a line in the guest; what it writes until that has ended."""
    mark = secrets.token_hex(4)
    log = vm.paths.serial_log
    begin = log.stat().st_size
    # Its echo must not look like the mark.
    result = vm.home(
        *("console", vm.name, "--silence", "100ms"),
        stdin=f"{line}\necho {mark[:4]}''{mark[4:]}\n",
    )
    assert result.rc == 0, result.err

    def written() -> str:
        text = log.read_bytes()[begin:].decode(errors="replace")
        return text.replace("\r", "")

    until(lambda: f"\n{mark}" in written(), line)
    return written()
