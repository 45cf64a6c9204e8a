"""start: what comes up, what is shown, and what a failure leaves."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.instance import history
from qemu_cli.paths import InstancePaths
from qemu_cli.testing.home import QemuHome

TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def home() -> Iterator[QemuHome]:
    """Three VMs without a guest: ``a``, ``b`` and ``c``."""
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        home = QemuHome(Path(directory) / "h")
        for name in ("a", "b", "c"):
            made = home(
                *("create", name, "--memory", "64M", "--accel", "tcg"),
                *("--disk", "1M", "--nic", "none"),
            )
            assert made.rc == 0, made.err
        yield home
        home.close()


@pytest.fixture(autouse=True)
def nothing_runs(home: QemuHome) -> Iterator[None]:
    yield
    alive = home("list", "-q", "--state", "running", "--state", "paused",
                 "--state", "unresponsive")  # fmt: skip
    if alive.out:
        ended = home("kill", *alive.out.split())
        assert ended.rc == 0, ended.err


def row(home: QemuHome, name: str) -> dict[str, Any]:
    (only,) = home("list", name, "-f", "json").json
    return dict(only)


def wait_running(home: QemuHome, name: str) -> dict[str, Any]:
    end = time.monotonic() + TIMEOUT_S
    while (found := row(home, name))["state"] != "running":
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


def test_what_is_printed(home: QemuHome) -> None:
    result = home("start", "a")
    assert result.rc == 0, result.err
    pid = row(home, "a")["pid"]
    assert result.out == ""
    assert result.err == f"a: started (pid {pid})\n"
    again = home("start", "a")
    assert again.rc == 4
    assert f"'a' is running already (pid {pid})" in again.err
    assert row(home, "a")["pid"] == pid


def test_it_leaves_the_terminal_and_its_parent(home: QemuHome) -> None:
    assert home("start", "a").rc == 0
    pid = row(home, "a")["pid"]
    assert os.getsid(pid) == pid
    stdin = Path(f"/proc/{pid}/fd/0").readlink()
    assert str(stdin) == "/dev/null"


def test_several_and_one_that_cannot(home: QemuHome) -> None:
    assert home("start", "b").rc == 0
    result = home("start", "a", "b", "c", "-f", "json")
    assert result.rc == 4
    codes = {each["name"]: each["code"] for each in result.json}
    assert codes == {"a": 0, "b": 4, "c": 0}
    assert {row(home, name)["state"] for name in "abc"} == {"running"}


def test_globs_and_all(home: QemuHome) -> None:
    assert home("start", "[ab]").rc == 0
    assert home("list", "-q", "--state", "running").out.split() == ["a", "b"]
    rest = home("start", "--all", "--state", "stopped")
    assert rest.rc == 0, rest.err
    assert row(home, "c")["state"] == "running"


def test_a_console_is_for_one(home: QemuHome) -> None:
    for words in (("[ab]",), ("--all",), ("a", "b")):
        refused = home("start", *words, "--console")
        assert refused.rc == 2
        assert "--console is for one VM" in refused.err
    assert home("list", "-q", "--state", "running").out == ""
    attached = home("start", "[a]", "--console")
    assert attached.rc == 0, attached.err
    assert row(home, "a")["state"] == "running"


def test_paused(home: QemuHome) -> None:
    result = home("start", "a", "--paused", "-f", "json")
    assert result.rc == 0
    assert result.json[0]["result"]["state"] == "paused"
    paused = row(home, "a")
    assert (paused["state"], paused["reason"]) == ("paused", "prelaunch")
    assert home("resume", "a").rc == 0
    assert row(home, "a")["state"] == "running"


def sockets(paths: InstancePaths) -> list[Path]:
    return [path for path in paths.runtime.glob("*") if path.is_socket()]


def run_pasted(home: QemuHome, script: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["sh", "-e", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=home.environment,
    )


def test_what_dry_run_shows_can_be_pasted(home: QemuHome) -> None:
    shown = home("start", "a", "--dry-run")
    assert shown.rc == 0, shown.err
    assert row(home, "a")["state"] == "stopped"
    pasted = run_pasted(home, shown.out)
    try:
        found = wait_running(home, "a")
        assert found["memory_mib"] == 64
        ended = home("shutdown", "a", "--force", "--timeout", "0")
        assert ended.rc == 0, ended.err
        assert row(home, "a")["reason"] == "host-qmp-quit"
        pasted.wait(TIMEOUT_S)
    finally:
        pasted.kill()
        pasted.wait()


def test_dry_run_of_several_prints_nothing_else(home: QemuHome) -> None:
    shown = home("start", "a", "b", "--dry-run")
    assert shown.rc == 0
    subprocess.run(["sh", "-n"], input=shown.out, text=True, check=True)
    assert "NAME" not in shown.out


def test_command_sh_works_without_us(home: QemuHome) -> None:
    assert home("start", "a").rc == 0
    assert home("quit", "a").rc == 0
    script = home.paths.instance("a").command
    assert script.stat().st_mode & 0o777 == 0o700
    by_hand = subprocess.Popen(
        [script],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": os.environ["PATH"]},
    )
    try:
        found = wait_running(home, "a")
        assert found["pid"] == by_hand.pid
        assert home("start", "a").rc == 4
        assert home("delete", "a", "--yes").rc == 4
        assert home("pause", "a").rc == 0
        assert row(home, "a")["state"] == "paused"
        ended = home("quit", "a")
        assert ended.rc == 0, ended.err
        by_hand.wait(TIMEOUT_S)
    finally:
        by_hand.kill()
        by_hand.wait()
    assert row(home, "a")["state"] == "stopped"
    assert home("start", "a").rc == 0


def test_a_failure_tells_all_and_leaves_nothing(home: QemuHome) -> None:
    paths = home.paths.instance("a")
    before = sorted(path.name for path in paths.directory.iterdir())
    disk = paths.directory / "disk0.qcow2"
    image = disk.read_bytes()
    disk.write_bytes(b"no image at all" * 100)
    try:
        for _ in range(2):
            result = home("start", "a")
            assert result.rc == 5
            assert "Image is not in qcow2 format" in result.err
            # Of this start, not of the one before.
            assert result.err.count("Image is not in qcow2 format") == 1
            assert "-uuid " in result.err  # the command line
            left = sorted(path.name for path in paths.directory.iterdir())
            logs = {"qemu.log", "history.jsonl", "events.out", "serial.log"}
            assert set(left) - set(before) <= logs
            assert not paths.pid_file.exists()
            assert sockets(paths) == []
            assert not paths.journal.exists()
            assert row(home, "a")["state"] == "stopped"
    finally:
        disk.write_bytes(image)
    assert home("start", "a").rc == 0


def test_a_missing_disk_is_named(home: QemuHome) -> None:
    disk = home.paths.instance("a").directory / "disk0.qcow2"
    aside = disk.with_suffix(".aside")
    disk.rename(aside)
    result = home("start", "a")
    aside.rename(disk)
    assert result.rc == 3
    assert f"disk0 of 'a' is missing: {disk}" in result.err


def test_a_broken_definition(home: QemuHome) -> None:
    definition = home.paths.instance("a").definition
    kept = definition.read_text()
    for text, message in (
        ("nonsense", "is not valid TOML"),
        (f"colour = 'red'\n{kept}", "unknown key 'colour'"),
        (kept.replace("cpus = 1", "cpus = 'one'"), "'machine.cpus'"),
        (kept.replace("format = 1", "format = 99"), "has format 99"),
    ):
        definition.write_text(text)
        result = home("start", "a")
        assert result.rc == 1, text
        assert message in result.err
    definition.write_text(kept)


def test_after_a_crash(home: QemuHome) -> None:
    assert home("start", "a").rc == 0
    pid = row(home, "a")["pid"]
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + TIMEOUT_S
    while row(home, "a")["state"] != "crashed":
        assert time.monotonic() < end
    assert home("start", "a").rc == 0
    assert row(home, "a")["state"] == "running"
    entries = list(history.entries(home.paths.instance("a").history))
    assert [entry["action"] for entry in entries[-3:]] == [
        "start",
        "exit",
        "start",
    ]
    assert entries[-2]["reason"] == "crashed"


def test_a_socket_that_somebody_else_listens_on(home: QemuHome) -> None:
    paths = home.paths.instance("a")
    paths.runtime.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(paths.follower_sockets[0]))
        other.listen()
        result = home("start", "a")
        assert result.rc == 4
        assert "another program listens on" in result.err
        # It is left alone.
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(paths.follower_sockets[0]))
    assert home("start", "a").rc == 0


def test_two_starts_at_once(home: QemuHome) -> None:
    both = [
        subprocess.Popen(
            [home.executable, "start", "a"],
            env=home.environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [each.communicate(timeout=TIMEOUT_S)[1] for each in both]
    assert sorted(each.returncode for each in both) == [0, 4], said
    assert row(home, "a")["state"] == "running"


def test_interrupted_it_leaves_nothing(home: QemuHome) -> None:
    """Ctrl-C while QEMU is not ready yet: here, it never gets ready."""
    paths = home.paths.instance("a")
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        fake = Path(directory, "qemu-system-x86_64")
        fake.write_text(f"#!/bin/sh\ntouch {directory}/runs\nexec sleep 600\n")
        fake.chmod(0o755)
        started = subprocess.Popen(
            [home.executable, "-c", f"qemu.binary.x86_64={fake}",
             "start", "a"],
            env=home.environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        end = time.monotonic() + TIMEOUT_S
        while not Path(directory, "runs").exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=TIMEOUT_S)
    assert started.returncode == 130, err
    assert not paths.journal.exists()
    assert sockets(paths) == []
    assert row(home, "a")["state"] == "stopped"


def test_it_gives_up_on_a_qemu_that_is_silent(home: QemuHome) -> None:
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        fake = Path(directory, "qemu-system-x86_64")
        fake.write_text("#!/bin/sh\nexec sleep 600\n")
        fake.chmod(0o755)
        result = home(
            *("-c", f"qemu.binary.x86_64={fake}", "-c", "start.timeout=1s"),
            *("start", "a"),
        )
    assert result.rc == 7
    assert "did not answer in 1 s" in result.err
    assert sockets(home.paths.instance("a")) == []
