"""What can happen to a run: QEMU dies, hangs, does not start, meets others."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.testing.home import QemuHome, Result

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")


def ok(result: Result) -> Result:
    assert result.rc == 0, result.err
    return result


def row(home: QemuHome, name: str = "vm") -> Any:
    (only,) = ok(home("list", name, "-f", "json")).json
    return only


@pytest.fixture
def vm(qemu_home: QemuHome) -> QemuHome:
    """A home with a VM called vm that has no guest."""
    ok(qemu_home("create", "vm", "--disk", "8M", *SMALL))
    return qemu_home


def nothing_runs(home: QemuHome, name: str = "vm") -> None:
    """No process, no pid file, no socket, no plan half done."""
    paths = home.paths.instance(name)
    assert row(home, name)["pid"] is None
    assert not paths.pid_file.exists()
    assert not paths.events_in.exists()
    if paths.runtime.exists():
        assert not [p for p in paths.runtime.iterdir() if p.is_socket()]
    assert not list(home.paths.pending.iterdir())


def test_killed_means_crashed_and_can_be_started(vm: QemuHome) -> None:
    ok(vm("start", "vm", "--paused"))
    pid = row(vm)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert row(vm)["state"] == "crashed"
    ok(vm("start", "vm", "--paused"))
    assert row(vm)["state"] == "paused"
    assert row(vm)["pid"] != pid
    assert "crashed" in ok(vm("log", "vm")).out
    ok(vm("quit", "vm"))
    nothing_runs(vm)


def wait_for_end(pid: int) -> None:
    end = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return
        assert time.monotonic() < end
        time.sleep(0.02)


def test_stopped_by_a_signal(vm: QemuHome) -> None:
    ok(vm("start", "vm", "--paused"))
    pid = row(vm)["pid"]
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    hung = row(vm)
    assert time.monotonic() - began < 10
    assert hung["state"] == "unresponsive"
    assert "SIGSTOP" in hung["reason"]
    shutdown = vm("shutdown", "vm")
    assert shutdown.rc == 4
    assert "qemu kill vm" in shutdown.err
    assert vm("delete", "vm", "--yes").rc == 4
    ok(vm("kill", "vm"))
    nothing_runs(vm)


def test_a_pid_used_again(vm: QemuHome) -> None:
    paths = vm.paths.instance("vm")
    paths.pid_file.write_text(f"{os.getpid()}\n")
    assert row(vm)["state"] == "crashed"
    assert row(vm)["pid"] is None
    assert vm("kill", "vm").rc == 4
    ok(vm("start", "vm", "--paused"))
    assert row(vm)["pid"] not in (None, os.getpid())
    ok(vm("quit", "vm"))


def test_the_directory_is_deleted_underneath(vm: QemuHome) -> None:
    ok(vm("start", "vm", "--paused"))
    pid = row(vm)["pid"]
    shutil.rmtree(vm.paths.instance("vm").directory)
    lost = row(vm)
    assert lost["pid"] == pid
    assert lost["reason"] == "its directory is gone"
    ok(vm("kill", "vm"))
    wait_for_end(pid)
    assert vm("list", "-q").out == ""


def test_a_host_port_in_use(qemu_home: QemuHome) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        words = ("--memory", "64M", "--accel", "tcg")
        forward = ("--forward", f"{port}:22")
        ok(qemu_home("create", "vm", *words, *forward))
        started = qemu_home("start", "vm")
        assert started.rc == 5
        assert f"{port}-:22" in started.err  # QEMU's own words
        assert "another program uses that host port" in started.err
        nothing_runs(qemu_home)
    ok(qemu_home("start", "vm", "--paused"))
    ok(qemu_home("quit", "vm"))


def test_an_argument_that_qemu_does_not_know(qemu_home: QemuHome) -> None:
    ok(qemu_home("create", "vm", *SMALL, "--qemu-arg=-nosuchoption"))
    started = qemu_home("start", "vm")
    assert started.rc == 5
    assert "-nosuchoption: invalid option" in started.err
    assert "qemu_args" in started.err
    nothing_runs(qemu_home)
    ok(qemu_home("set", "vm", "qemu-arg-=-nosuchoption"))
    ok(qemu_home("start", "vm", "--paused"))
    ok(qemu_home("quit", "vm"))


def test_a_disk_that_is_gone(vm: QemuHome) -> None:
    disk = vm.paths.instance("vm").directory / "disk0.qcow2"
    disk.unlink()
    started = vm("start", "vm")
    assert started.rc == 3
    assert str(disk) in started.err
    nothing_runs(vm)


def at_once(home: QemuHome, *words: str) -> list[Result]:
    """Run the same command twice at the same moment."""
    results: list[Result] = []
    gate = threading.Barrier(2)

    def run() -> None:
        gate.wait()
        results.append(home(*words))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results, key=lambda result: result.rc)


def test_two_creates_and_two_starts_at_once(qemu_home: QemuHome) -> None:
    for number in range(10):
        name = f"v{number}"
        won, lost = at_once(qemu_home, "create", name, "--disk", "8M", *SMALL)
        assert (won.rc, lost.rc) == (0, 4), lost.err
        assert "already" in lost.err
        won, lost = at_once(qemu_home, "start", name, "--paused")
        assert (won.rc, lost.rc) == (0, 4), lost.err
        assert "already" in lost.err
        assert row(qemu_home, name)["state"] == "paused"
        ok(qemu_home("quit", name))
        nothing_runs(qemu_home, name)


@contextlib.contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    directory.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory],
        check=True,
    )
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def test_a_full_disk_while_creating_and_cloning(
    short_dir: Path, tmp_path: Path
) -> None:
    image = tmp_path / "image.raw"
    image.write_bytes(os.urandom(1 << 20) * 3)
    with small_disk(short_dir / "t", "4M") as directory:
        home = QemuHome(directory / "h")
        words = ("--image", image, "--copy", *SMALL)
        ok(home("create", "a", *words))
        for full in (
            home("create", "b", *words),
            home("clone", "a", "b", "--full"),
        ):
            assert full.rc == 1
            assert "No space left on device" in full.err
            assert home("list", "-q").out == "a\n"
            left = {path.name for path in home.paths.instances.iterdir()}
            assert left == {"a", ".locks", ".pending"}
            assert not list(home.paths.pending.iterdir())
        copy = home.paths.instance("a").directory / "disk0.raw"
        assert copy.read_bytes() == image.read_bytes()
        # A disk with no room at all: not even for the journal.
        with (
            contextlib.suppress(OSError),
            (directory / "filler").open("wb", buffering=0) as filler,
        ):
            while True:
                filler.write(bytes(4096))
        for full in (
            home("create", "c", *SMALL),
            home("clone", "a", "c"),
            home("set", "a", "memory=128M"),
            home("rename", "a", "c"),
        ):
            assert full.rc == 1, full.err
            assert "No space left on device" in full.err
        (directory / "filler").unlink(missing_ok=True)
        assert home("list", "-q").out == "a\n"
        assert row(home, "a")["memory_mib"] == 64
        assert not list(home.paths.pending.iterdir())
        ok(home("start", "a", "--paused"))
        ok(home("quit", "a"))
        home.close()
