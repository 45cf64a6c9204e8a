"""qemu save, and a start that goes on: the guest must notice nothing.

One guest is booted for all tests of this file; each leaves it running.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest

BOOT_TIMEOUT_S = 120.0

#: What only this guest's shell knows, and only in its memory.
TOKEN = secrets.token_hex(8)

#: Runs ``qemu`` and kills it before or after a step is noted in the
#: journal, or interrupts it when the memory is being written.
FAULTY = """
import os, signal, sys
from qemu_cli.steps.runner import Journal
from qemu_cli.app import main
from qemu_cli.instance import ram

when, index = sys.argv[1], int(sys.argv[2])
begun, noted = Journal.begin, Journal.step
until_ended = ram._until_ended

def begin(self, plan):
    global index
    index %= max(len(plan.steps), index + 1)  # -1 is the last
    begun(self, plan)

def step(self, number):
    if (when, number) == ("before", index):
        os.kill(os.getpid(), signal.SIGKILL)
    noted(self, number)
    if (when, number) == ("after", index):
        os.kill(os.getpid(), signal.SIGKILL)

async def interrupted(*arguments):
    ram._until_ended = until_ended  # once
    os.kill(os.getpid(), signal.SIGINT)
    return await until_ended(*arguments)

Journal.begin, Journal.step = begin, step
if when == "interrupt":
    ram._until_ended = interrupted
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture(scope="module")
def home() -> Iterator[QemuHome]:
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        home = QemuHome(Path(directory))
        yield home
        home.close()


@pytest.fixture(scope="module")
def booted(home: QemuHome, tiny_guest: TinyGuest) -> QemuHome:
    created = home(
        *("create", "g", "--kernel", tiny_guest.kernel, "--disk", "64M"),
        *("--initrd", tiny_guest.initrd, "--memory", "256M"),
        *("--append", "console=ttyS0 quiet", "--accel", "tcg", "--start"),
    )
    assert created.rc == 0, created.err
    log = home.paths.instance("g").serial_log
    end = time.monotonic() + BOOT_TIMEOUT_S
    while "guest#" not in (written := log.read_text(errors="replace")):
        assert time.monotonic() < end, f"no prompt in: {written}"
        time.sleep(0.1)
    shell(home, f"TOKEN={TOKEN}")
    return home


@pytest.fixture
def guest(booted: QemuHome) -> Iterator[QemuHome]:
    """The home; the guest in it runs before and after the test."""
    assert row(booted)["state"] == "running"
    yield booted
    assert_same_guest(booted)


def row(home: QemuHome) -> dict[str, Any]:
    result = home("list", "-f", "json")
    assert result.rc == 0, result.err
    (only,) = result.json
    return only


def shell(home: QemuHome, line: str) -> str:
    result = home("console", "g", "--silence", "300ms", stdin=f"{line}\n")
    assert result.rc == 0, result.err
    return result.out


def assert_same_guest(home: QemuHome) -> None:
    """It runs, it is the one that was booted, and nothing is left over."""
    assert row(home)["state"] == "running"
    paths = home.paths.instance("g")
    assert not paths.saved_ram.is_symlink()
    assert not paths.saved_ram.exists()
    assert not paths.saved_facts.exists()
    assert not paths.journal.exists()
    for _ in range(20):  # a loaded host: the shell may need longer
        said = shell(home, 'echo "<$TOKEN>"')
        if f"<{TOKEN}>" in said:
            return
    pytest.fail(f"another guest, or none: {said}")


def save(home: QemuHome) -> None:
    saved = home("save", "g")
    assert saved.rc == 0, saved.err
    assert row(home)["state"] == "stopped"


def start(home: QemuHome) -> None:
    started = home("start", "g", "-f", "json")
    assert started.rc == 0, started.out + started.err
    assert started.json[0]["result"]["resumed"] is True


def faulty(
    home: QemuHome, when: str, index: int, *words: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", FAULTY, when, str(index), *words],
        env=home.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_guest_goes_on_where_it_was(guest: QemuHome) -> None:
    pid = row(guest)["pid"]
    saved = guest("save", "g", "-f", "json")
    assert saved.rc == 0, saved.err
    paths = guest.paths.instance("g")
    size_bytes = saved.json[0]["result"]["size_bytes"]
    assert size_bytes == paths.saved_ram.stat().st_size > 1 << 20
    assert paths.saved_ram.stat().st_mode & 0o777 == 0o600
    assert paths.saved_facts.stat().st_mode & 0o777 == 0o600
    stopped = row(guest)
    assert stopped["pid"] is None
    assert (stopped["state"], stopped["reason"]) == ("stopped", "saved")
    assert guest("save", "g").rc == 4
    start(guest)
    assert row(guest)["pid"] != pid


def test_a_guest_that_was_paused_stays_paused(guest: QemuHome) -> None:
    assert guest("pause", "g").rc == 0
    save(guest)
    start(guest)
    assert row(guest)["state"] == "paused"
    assert guest("resume", "g").rc == 0


def test_a_start_may_leave_it_paused(guest: QemuHome) -> None:
    save(guest)
    assert guest("start", "g", "--paused").rc == 0
    assert row(guest)["state"] == "paused"
    assert guest("resume", "g").rc == 0


def test_a_renamed_vm_goes_on(guest: QemuHome) -> None:
    save(guest)
    assert guest("rename", "g", "another").rc == 0
    started = guest("start", "another")
    assert started.rc == 0, started.err
    assert guest("save", "another").rc == 0
    assert guest("rename", "another", "g").rc == 0
    start(guest)


def test_a_changed_disk_is_refused(guest: QemuHome) -> None:
    save(guest)
    disk = guest.paths.instance("g").directory / "disk0.qcow2"
    before = disk.stat()
    subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", "write 0 4k", disk],
        check=True,
        capture_output=True,
    )
    assert disk.stat().st_mtime_ns != before.st_mtime_ns
    refused = guest("start", "g")
    assert refused.rc == 4
    assert "disk0 has changed" in refused.err
    assert "--discard-saved" in refused.err
    assert guest("start", "g", "--discard-saved").rc == 2  # nobody to ask
    # The guest had never read that block: take the change for undone.
    if disk.stat().st_size != before.st_size:
        os.truncate(disk, before.st_size)
    os.utime(disk, ns=(before.st_atime_ns, before.st_mtime_ns))
    start(guest)


def test_another_machine_is_refused(guest: QemuHome) -> None:
    save(guest)
    definition = guest.paths.instance("g").definition
    text = definition.read_text()
    definition.write_text(text.replace("cpus = 1", "cpus = 2", 1))
    refused = guest("start", "g")
    assert refused.rc == 4
    assert "definition has changed" in refused.err
    definition.write_text(text)
    start(guest)


def test_an_older_qemu_is_refused(guest: QemuHome) -> None:
    save(guest)
    facts = guest.paths.instance("g").saved_facts
    text = facts.read_text()
    facts.write_text(json.dumps({**json.loads(text), "version": [99, 0, 0]}))
    refused = guest("start", "g")
    assert refused.rc == 4
    assert "99.0.0" in refused.err
    facts.write_text(text)
    start(guest)


def test_a_state_that_does_not_load_is_kept(guest: QemuHome) -> None:
    save(guest)
    ram = guest.paths.instance("g").saved_ram
    aside = ram.with_suffix(".aside")
    ram.rename(aside)
    ram.write_bytes(aside.read_bytes()[: 1 << 20])
    failed = guest("start", "g")
    assert failed.rc == 5
    assert "can't be loaded" in failed.err
    stopped = row(guest)
    assert (stopped["state"], stopped["reason"]) == ("stopped", "saved")
    assert ram.stat().st_size == 1 << 20
    aside.rename(ram)
    start(guest)


def test_a_full_disk_leaves_it_running(guest: QemuHome) -> None:
    guest.paths.instance("g").saved_ram.symlink_to("/dev/full")
    failed = guest("save", "g")
    assert failed.rc == 5
    # QEMU 7.2 finds out when it writes, 10 when it truncates the file.
    assert "could not be saved" in failed.err or "truncate" in failed.err


def test_ctrl_c_leaves_it_running(guest: QemuHome) -> None:
    interrupted = faulty(guest, "interrupt", 0, "save", "g")
    assert interrupted.returncode == 130, interrupted.stderr


# stop, write, quit, note
@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_save_is_repaired(
    guest: QemuHome, when: str, index: int
) -> None:
    killed = faulty(guest, when, index, "save", "g")
    assert killed.returncode == -signal.SIGKILL
    repaired = guest("start", "g")
    assert "'save g' had been interrupted" in repaired.err
    # From `quit` on it is finished, and then started; else it still runs.
    noted = index if when == "after" else index - 1
    assert repaired.rc == (0 if noted >= 2 else 4), repaired.err


def test_a_killed_start_is_repaired(guest: QemuHome) -> None:
    """At every step; how many there are is not for us to know."""
    for when in ("before", "after"):
        for index in range(20):
            save(guest)
            killed = faulty(guest, when, index, "start", "g")
            if killed.returncode == 0:
                break
            assert killed.returncode == -signal.SIGKILL
            repaired = guest("start", "g")
            assert "'start g' had been interrupted" in repaired.err
            assert row(guest)["state"] == "running"
        assert index >= 3  # the start, the memory, the guest


def test_a_host_that_goes_down_in_a_start_loses_nothing(
    guest: QemuHome,
) -> None:
    save(guest)
    # At the last step: the memory is loaded, the guest does not run yet.
    killed = faulty(guest, "after", -1, "start", "g")
    assert killed.returncode == -signal.SIGKILL
    os.kill(row(guest)["pid"], signal.SIGKILL)
    while row(guest)["pid"]:
        time.sleep(0.05)
    start(guest)
