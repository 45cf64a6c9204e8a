"""pause, resume, reset and reboot; which state allows what."""

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.instance import recorder
from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest

BOOT_TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def home(tiny_guest: TinyGuest) -> Iterator[QemuHome]:
    """A home with a guest that boots, ``g``, and a bare VM, ``bare``."""
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        home = QemuHome(Path(directory))
        common = ("--accel", "tcg", "--nic", "none")
        guest = home(
            *("create", "g", "--kernel", tiny_guest.kernel, *common),
            *("--initrd", tiny_guest.initrd, "--memory", "256M"),
            *("--append", "console=ttyS0 quiet", "--start"),
            *("--qemu-arg=-action", "--qemu-arg=panic=pause"),
        )
        assert guest.rc == 0, guest.err
        bare = home("create", "bare", "--memory", "64M", *common)
        assert bare.rc == 0, bare.err
        yield home
        home.close()


def row(home: QemuHome, name: str) -> dict[str, Any]:
    (only,) = home("list", name, "-f", "json").json
    return only


def wait_boots(home: QemuHome, count: int) -> None:
    """Wait until the guest has been ready so many times."""
    log = home.paths.instance("g").serial_log
    end = time.monotonic() + BOOT_TIMEOUT_S
    while (written := log.read_text(errors="replace")).count(
        "GUEST-READY"
    ) < count:
        assert time.monotonic() < end, f"not {count} boots in: {written}"
        time.sleep(0.1)


def agent_is_up(home: QemuHome) -> None:
    """Wait until the guest's agent has opened its port."""
    out = home.paths.instance("g").events_out
    end = time.monotonic() + BOOT_TIMEOUT_S
    while not any(
        event["event"] == "VSERPORT_CHANGE" and event["data"]["open"]
        for event in recorder.events(out)
    ):
        assert time.monotonic() < end, "no agent"
        time.sleep(0.1)


def resets(home: QemuHome) -> list[dict[str, Any]]:
    """The RESET events that QEMU itself has recorded."""
    return [
        event["data"]
        for event in recorder.events(home.paths.instance("g").events_out)
        if event["event"] == "RESET"
    ]


def test_pause_and_resume(home: QemuHome) -> None:
    assert home("start", "bare", "--paused").rc == 0
    assert row(home, "bare")["run_state"] == "prelaunch"
    assert home("resume", "bare").rc == 0
    again = home("resume", "bare")
    assert again.rc == 4
    assert "running already" in again.err
    assert home("pause", "bare").rc == 0
    again = home("pause", "bare")
    assert again.rc == 4
    assert "paused already" in again.err
    reset = home("reset", "bare")
    assert reset.rc == 0
    assert "still paused" in reset.err
    assert row(home, "bare")["state"] == "paused"
    assert home("reboot", "bare").rc == 4
    assert home("kill", "bare").rc == 0
    for command in ("pause", "resume", "reset", "reboot", "save"):
        refused = home(command, "bare")
        assert refused.rc == 4
        assert "stopped" in refused.err


def test_a_guest_that_ignores_us_is_not_reset(
    home: QemuHome, tiny_guest: TinyGuest
) -> None:
    """A microvm has no keyboard, and the kernel alone has no agent."""
    created = home(
        *("create", "deaf", "--profile", "microvm", "--memory", "128M"),
        *("--kernel", tiny_guest.kernel, "--append", "panic=0"),
        *("--accel", "tcg", "--nic", "none", "--start"),
    )
    assert created.rc == 0, created.err
    late = home("reboot", "deaf", "--timeout", "1s")
    assert late.rc == 7
    assert "qemu reset deaf" in late.err
    assert row(home, "deaf")["state"] == "running"
    assert home("kill", "deaf").rc == 0


def test_reset_reboot_and_panic(home: QemuHome) -> None:
    wait_boots(home, 1)
    agent_is_up(home)
    done = home("--trace-qmp", "reboot", "g", "-f", "json")
    assert done.rc == 0, done.err
    assert re.search(r'→ .* g/agent \{"execute": "guest-shutdown"', done.err)
    assert done.json[0]["result"]["by"] == "agent"
    assert resets(home)[-1]["guest"] is True
    wait_boots(home, 2)

    before = len(resets(home))
    assert home("reset", "g").rc == 0
    # QEMU answers first, and resets when its main loop comes to it.
    end = time.monotonic() + BOOT_TIMEOUT_S
    while len(resets(home)) == before:
        assert time.monotonic() < end, "nothing was reset"
        time.sleep(0.05)
    # Ours is the first of them: a BIOS that finds itself already unpacked in
    # RAM asks for another one, "guest-reset", a few milliseconds later.
    assert resets(home)[before]["reason"] == "host-qmp-system-reset"
    wait_boots(home, 3)

    crash = "echo c > /proc/sysrq-trigger\n"
    home("console", "g", "--silence", "300ms", stdin=crash)
    end = time.monotonic() + BOOT_TIMEOUT_S
    while row(home, "g")["run_state"] == "running":
        assert time.monotonic() < end, "it does not panic"
        time.sleep(0.1)
    refused = home("resume", "g")
    assert refused.rc == 4
    assert "panicked" in refused.err
    assert "qemu reset g" in refused.err
    assert home("reset", "g").rc == 0
    assert row(home, "g")["state"] == "running"
