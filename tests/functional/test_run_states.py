"""Guests that stand still for reasons of their own, and go on again.

One guest is booted for all tests of this file, on a small disk of the
host; each test leaves it running.
"""

import asyncio
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.qmp.address import Monitors
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest

TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A disk of the host with hardly any room."""
    with tempfile.TemporaryDirectory(prefix="q-") as name:
        mount = ["mount", "-t", "tmpfs", "-o", "size=16M", "tmpfs", name]
        subprocess.run(mount, check=True)
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "-l", name], check=True)


@pytest.fixture(scope="module")
def home(disk: Path, tiny_guest: TinyGuest) -> Iterator[QemuHome]:
    home = QemuHome(disk / "h")
    try:
        made = home(
            *("create", "g", "--kernel", tiny_guest.kernel, "--disk", "64M"),
            *("--initrd", tiny_guest.initrd, "--memory", "256M"),
            *("--append", "console=ttyS0 quiet", "--accel", "tcg"),
            *("--nic", "none", "--start"),
        )
        assert made.rc == 0, made.err
        wait_for(home, "guest#")
        yield home
    finally:
        home.close()


def wait_for(home: QemuHome, text: str) -> None:
    """Wait until the guest has written it."""
    log = home.paths.instance("g").serial_log
    end = time.monotonic() + TIMEOUT_S
    while text not in (written := log.read_text(errors="replace")):
        assert time.monotonic() < end, f"no {text} in: {written}"
        time.sleep(0.1)


def row(home: QemuHome) -> dict[str, Any]:
    (only,) = home("list", "-f", "json").json
    return dict(only)


def wait_state(home: QemuHome, state: str, run_state: str) -> None:
    end = time.monotonic() + TIMEOUT_S
    while (found := row(home))["run_state"] != run_state:
        assert time.monotonic() < end, found
        time.sleep(0.1)
    assert found["state"] == state
    if state == "paused":
        assert found["reason"] == run_state


def shell(home: QemuHome, line: str) -> None:
    typed = home("console", "g", "--silence", "300ms", stdin=f"{line}\n")
    assert typed.rc == 0, typed.err


def test_there_is_no_room_to_save_it(home: QemuHome) -> None:
    refused = home("save", "g")
    assert refused.rc == 1
    assert "no room to save 'g': up to" in refused.err
    assert row(home)["state"] == "running"
    paths = home.paths.instance("g")
    assert not paths.saved_ram.exists()
    assert not paths.journal.exists()


def test_a_disk_of_the_host_is_full(home: QemuHome, disk: Path) -> None:
    shell(
        home,
        "dd if=/dev/urandom of=/tmp/r bs=1M count=32 2>/dev/null;"
        " dd if=/tmp/r of=/dev/vda oflag=direct bs=1M 2>/dev/null;"
        " dd if=/dev/vda iflag=direct bs=1M count=32 2>/dev/null"
        " | cmp - /tmp/r && echo disk-$((40 + 2))",
    )
    wait_state(home, "paused", "io-error")
    for command in ("shutdown", "reboot"):
        refused = home(command, "g")
        assert refused.rc == 4
        assert "io-error" in refused.err
    again = home("resume", "g")
    assert again.rc == 4
    assert "its disk still fails" in again.err
    assert row(home)["run_state"] == "io-error"

    subprocess.run(["mount", "-o", "remount,size=90M", disk], check=True)
    resumed = home("resume", "g", "-f", "json")
    assert resumed.rc == 0, resumed.err
    assert resumed.json[0]["result"]["was"] == "io-error"
    # What the guest wrote is what it reads: nothing was lost.
    wait_for(home, "disk-42")
    assert row(home)["state"] == "running"


def test_it_has_been_migrated(home: QemuHome, disk: Path) -> None:
    with socket.socket(socket.AF_UNIX) as destination:
        destination.bind(str(disk / "to"))
        destination.listen()
        asyncio.run(migrate(home, f"unix:{disk}/to"))
        taker, _ = destination.accept()
        with taker:
            while taker.recv(1 << 20):
                pass
    wait_state(home, "paused", "postmigrate")
    assert home("save", "g").rc == 4
    refused = home("resume", "g")  # nobody to ask
    assert refused.rc == 2
    assert "has been migrated" in refused.err
    assert row(home)["run_state"] == "postmigrate"
    resumed = home("resume", "g", "--yes")
    assert resumed.rc == 0, resumed.err
    shell(home, "echo again-$((40 + 2))")
    wait_for(home, "again-42")


async def migrate(home: QemuHome, uri: str) -> None:
    paths = home.paths.instance("g")
    monitors = Monitors(str(paths.control_socket), pid=row(home)["pid"])
    async with Sessions().open(monitors) as session:
        await session.execute("migrate", {"uri": uri})


def test_it_sleeps(home: QemuHome) -> None:
    shell(home, "echo mem > /sys/power/state; echo woken-$((40 + 2))")
    wait_state(home, "paused", "suspended")
    for command in ("save", "shutdown", "reboot"):
        refused = home(command, "g")
        assert refused.rc == 4
        assert "suspended" in refused.err
    resumed = home("resume", "g")
    assert resumed.rc == 0, resumed.err
    assert "woken up" in resumed.err
    wait_for(home, "woken-42")
    assert row(home)["state"] == "running"
