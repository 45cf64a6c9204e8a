"""shutdown: what guests hear, and what becomes of those that do not."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.instance import history, recorder
from qemu_cli.proc import ProcFS
from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest

BOOT_TIMEOUT_S = 180.0
#: Far longer than a guest needs that shuts down at all.
LONG = ("--timeout", "3m")


@pytest.fixture(scope="module")
def home(tiny_guest: TinyGuest) -> Iterator[QemuHome]:
    """Two guests, ``g1`` and ``g2``, and a VM without one, ``deaf``."""
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        home = QemuHome(Path(directory) / "h")
        for name in ("g1", "g2"):
            made = home(
                *("create", name, "--kernel", tiny_guest.kernel),
                *("--initrd", tiny_guest.initrd, "--memory", "256M"),
                *("--append", "console=ttyS0 quiet", "--accel", "tcg"),
            )
            assert made.rc == 0, made.err
        made = home(
            *("create", "deaf", "--disk", "1G", "--memory", "64M"),
            *("--accel", "tcg"),
        )
        assert made.rc == 0, made.err
        yield home
        home.close()


@pytest.fixture
def deaf(home: QemuHome) -> int:
    """The pid of the VM that hears nothing, started anew."""
    home("kill", "deaf")
    started = home("start", "deaf", "-f", "json")
    assert started.rc == 0, started.err
    pid = row(home, "deaf")["pid"]
    assert isinstance(pid, int)
    return pid


def row(home: QemuHome, name: str) -> dict[str, Any]:
    (only,) = home("list", name, "-f", "json").json
    return dict(only)


def boot(home: QemuHome, *names: str) -> None:
    """Start guests and wait until they are up."""
    logs = [home.paths.instance(name).serial_log for name in names]
    before = [
        log.read_text(errors="replace").count("GUEST-READY")
        if log.exists()
        else 0
        for log in logs
    ]
    started = home("start", *names)
    assert started.rc == 0, started.err
    for log, count in zip(logs, before, strict=True):
        wait_until(
            lambda log=log, count=count: (  # type: ignore[misc]
                log.read_text(errors="replace").count("GUEST-READY") > count
            )
        )


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + BOOT_TIMEOUT_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def begin(home: QemuHome, *words: str) -> "subprocess.Popen[str]":
    """Run ``qemu`` beside us."""
    return subprocess.Popen(
        [home.executable, *words],
        env=home.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def asking(home: QemuHome, name: str) -> None:
    """Wait until somebody has pressed the power button of a VM."""
    events = home.paths.instance(name).events_out
    wait_until(
        lambda: any(e["event"] == "POWERDOWN" for e in recorder.events(events))
    )


def agent_is_up(home: QemuHome, name: str) -> None:
    """Wait until the guest's agent has opened its port."""
    events = home.paths.instance(name).events_out
    wait_until(
        lambda: any(
            e["event"] == "VSERPORT_CHANGE" and e["data"]["open"]
            for e in recorder.events(events)
        )
    )


def shell(home: QemuHome, name: str, command: str) -> None:
    """Run a command in the guest's shell on its serial port."""
    paths = home.paths.instance(name)
    # What is typed before the prompt is lost.
    wait_until(lambda: b"guest# " in paths.serial_log.read_bytes()[-20:])
    with socket.socket(socket.AF_UNIX) as serial:
        serial.connect(str(paths.serial_socket))
        serial.sendall(f"{command}; echo DONE-$((1+1))\n".encode())
        wait_until(lambda: b"DONE-2" in paths.serial_log.read_bytes())


def last_entry(home: QemuHome, name: str) -> dict[str, Any]:
    return list(history.entries(home.paths.instance(name).history))[-1]


def test_several_at_once_by_their_agents(home: QemuHome, deaf: int) -> None:
    boot(home, "g1", "g2")
    for name in ("g1", "g2"):
        agent_is_up(home, name)
    result = home("shutdown", "g1", "deaf", "g2", "--timeout", "20s",
                  "-f", "json")  # fmt: skip
    # What all failures share.
    assert result.rc == 7, result.err
    rows = {each["name"]: each for each in result.json}
    assert list(rows) == ["g1", "deaf", "g2"]
    for name in ("g1", "g2"):
        assert rows[name]["code"] == 0
        assert rows[name]["result"]["by"] == "agent"
        assert 0 < rows[name]["result"]["seconds"] < 20
        assert row(home, name)["state"] == "stopped"
        assert row(home, name)["reason"] == "guest-shutdown"
        entry = last_entry(home, name)
        assert entry["action"] == "exit"
        assert entry["reason"] == "guest-shutdown"
        assert not any(home.paths.instance(name).runtime.glob("*.sock"))
    assert rows["deaf"]["code"] == 7
    assert "did not shut down in 20 s" in rows["deaf"]["error"]
    assert "--force" in result.err
    # Nothing was killed.
    assert row(home, "deaf")["pid"] == deaf
    assert row(home, "deaf")["state"] == "running"


def test_while_it_boots(home: QemuHome) -> None:
    """The power button is pressed again until somebody hears it."""
    assert home("start", "g1").rc == 0
    result = home("shutdown", "g1", *LONG)
    assert result.rc == 0, result.err
    assert "shut down by" in result.err
    events = recorder.events(home.paths.instance("g1").events_out)
    pressed = [e for e in events if e["event"] == "POWERDOWN"]
    assert len(pressed) > 1
    assert row(home, "g1")["reason"] == "guest-shutdown"


def test_two_who_ask_at_once_a_guest_without_agent(home: QemuHome) -> None:
    boot(home, "g1")
    # It would be started again.
    shell(home, "g1", "rm $(which qemu-ga); kill -9 $(pidof qemu-ga)")
    both = [begin(home, "shutdown", "g1", *LONG) for _ in range(2)]
    said = [each.communicate(timeout=BOOT_TIMEOUT_S)[1] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    # To the other one it may have gone before he could press anything.
    assert all("shut down by" in err for err in said), said
    assert any("by the power button" in err for err in said), said
    entries = history.entries(home.paths.instance("g1").history)
    actions = [entry["action"] for entry in entries]
    assert actions[-2:] == ["start", "exit"]  # it is written down once
    assert home("shutdown", "g1").rc == 4


def test_force_ends_what_does_not_hear(home: QemuHome, deaf: int) -> None:
    result = home("shutdown", "deaf", "--timeout", "1s", "--force")
    assert result.rc == 0, result.err
    assert "did not react" in result.err
    assert "QEMU quit after" in result.err
    assert row(home, "deaf")["reason"] == "host-qmp-quit"
    assert ProcFS().process(deaf) is None


def test_a_paused_guest_cannot_hear(home: QemuHome) -> None:
    home("kill", "deaf")
    assert home("start", "deaf", "--paused").rc == 0
    result = home("shutdown", "deaf")
    assert result.rc == 4
    assert "'deaf' is paused (prelaunch)" in result.err
    assert "qemu resume deaf" in result.err
    forced = home("shutdown", "deaf", "--force", *LONG)
    assert forced.rc == 0, forced.err
    assert "QEMU quit" in forced.err


def test_a_qemu_that_is_stopped_is_killed(home: QemuHome, deaf: int) -> None:
    os.kill(deaf, signal.SIGSTOP)
    result = home("shutdown", "deaf")
    assert result.rc == 4
    assert "SIGSTOP" in result.err
    forced = home("shutdown", "deaf", "--force", *LONG)
    assert forced.rc == 0, forced.err
    assert "QEMU was killed" in forced.err
    stopped = row(home, "deaf")
    assert (stopped["state"], stopped["reason"]) == ("stopped", "killed")
    assert last_entry(home, "deaf")["reason"] == "killed"


def test_a_qemu_that_dies_meanwhile(home: QemuHome, deaf: int) -> None:
    waiting = begin(home, "shutdown", "deaf", *LONG)
    asking(home, "deaf")
    os.kill(deaf, signal.SIGKILL)
    _, err = waiting.communicate(timeout=BOOT_TIMEOUT_S)
    assert waiting.returncode == 1
    assert "QEMU of 'deaf' died" in err
    assert row(home, "deaf")["state"] == "crashed"
    assert last_entry(home, "deaf")["reason"] == "crashed"


def test_other_commands_need_not_wait_for_it(
    home: QemuHome, deaf: int
) -> None:
    waiting = begin(home, "shutdown", "deaf", *LONG)
    asking(home, "deaf")
    assert row(home, "deaf")["state"] == "running"
    ended = home("-c", "lock.timeout=5s", "quit", "deaf")
    assert ended.rc == 0, ended.err
    _, err = waiting.communicate(timeout=BOOT_TIMEOUT_S)
    assert waiting.returncode == 0, err


def test_interrupting_it_leaves_the_vm_running(
    home: QemuHome, deaf: int
) -> None:
    waiting = begin(home, "shutdown", "deaf", *LONG)
    asking(home, "deaf")
    waiting.send_signal(signal.SIGINT)
    waiting.communicate(timeout=BOOT_TIMEOUT_S)
    assert waiting.returncode == 130
    assert row(home, "deaf")["pid"] == deaf


def test_it_works_without_a_definition(home: QemuHome, deaf: int) -> None:
    definition = home.paths.instance("deaf").definition
    kept = definition.read_text()
    definition.write_text("nonsense")
    try:
        result = home("shutdown", "deaf", "--timeout", "1s", "--force")
    finally:
        definition.write_text(kept)
    assert result.rc == 0, result.err


def test_what_does_not_run(home: QemuHome) -> None:
    home("kill", "deaf")
    for command in ("shutdown", "quit", "kill"):
        result = home(command, "deaf")
        assert result.rc == 4
        assert "stopped" in result.err
        assert home(command, "nosuch").rc == 3
        assert home(command).rc == 2
    assert home("shutdown", "deaf", "--timeout", "soon").rc == 2
