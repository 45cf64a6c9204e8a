"""qemu show: all states of a VM, and all that can be wrong with one."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.testing.home import QemuHome


@pytest.fixture
def web(qemu_home: QemuHome, tmp_path: Path) -> Iterator[QemuHome]:
    """A VM with an overlay on a base image; no guest, so it is quick."""
    base = tmp_path / "base.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", base, "8M"], check=True
    )
    created = qemu_home(
        *("create", "web", "--image", base, "--accel", "tcg"),
        *("--memory", "64M", "--forward", "22", "--nic", "user"),
    )
    assert created.rc == 0, created.err
    return qemu_home


def show(qemu_home: QemuHome, name: str = "web") -> dict[str, Any]:
    result = qemu_home("show", name, "-f", "json")
    assert result.rc == 0, result.err
    return result.json


def start(qemu_home: QemuHome, *options: str) -> int:
    result = qemu_home("start", "web", *options)
    assert result.rc == 0, result.err
    return int(show(qemu_home)["pid"])


def test_a_stopped_vm(web: QemuHome, tmp_path: Path) -> None:
    shown = show(web)
    assert shown["state"] == "stopped"
    assert shown["arch"] == "x86_64"
    assert shown["memory_mib"] == 64
    assert shown["pid"] is None
    assert shown["monitors"] == []
    assert shown["last_exit"] is None
    assert shown["qemu_version"].count(".") == 2
    (disk,) = shown["disks"]
    assert disk["format"] == "qcow2"
    assert disk["virtual_size_bytes"] == 8 << 20
    assert 0 < disk["actual_size_bytes"] < 8 << 20
    assert disk["backing_file"] == str(tmp_path / "base.qcow2")
    assert disk["problem"] is None
    (forward,) = shown["forwards"]
    assert forward["guest_port"] == 22
    assert shown["nics"][0]["mac"].startswith("52:54:00:")
    assert Path(shown["files"]["definition"]).is_file()


def test_a_running_vm(web: QemuHome) -> None:
    pid = start(web)
    shown = show(web)
    assert shown["state"] == "running"
    status = Path(f"/proc/{pid}/status").read_text()
    rss_kib = int(status.split("VmRSS:")[1].split()[0])
    assert shown["rss_bytes"] == pytest.approx(rss_kib << 10, rel=0.5)
    assert 0 <= shown["uptime_s"] < 600
    assert shown["cpu_time_s"] >= 0
    names = [monitor["name"] for monitor in shown["monitors"]]
    assert names == ["control", "probe", "follower1", "follower2"]
    assert {monitor["use"] for monitor in shown["monitors"]} == {"free"}
    assert shown["console"]["use"] == "free"
    # The image is in use, and its sizes are there all the same.
    assert shown["disks"][0]["virtual_size_bytes"] == 8 << 20


def test_who_holds_a_monitor_is_named(web: QemuHome) -> None:
    start(web)
    paths = web.paths.instance("web")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(paths.follower_sockets[1]))
        assert client.recv(1) == b"{"  # it greets, so we are served
        with socket.socket(socket.AF_UNIX) as second:
            second.connect(str(paths.follower_sockets[1]))
            monitor = show(web)["monitors"][3]
    assert monitor["name"] == "follower2"
    assert monitor["use"] == "held"
    assert monitor["pid"] == os.getpid()
    words = Path("/proc/self/cmdline").read_text().split("\0")
    assert monitor["command"] == " ".join(words[:-1])
    assert monitor["waiting"] == 1


def test_paused_stopped_by_a_signal_and_crashed(web: QemuHome) -> None:
    pid = start(web, "--paused")
    shown = show(web)
    assert (shown["state"], shown["run_state"]) == ("paused", "prelaunch")

    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        shown = show(web)
        assert time.monotonic() - began < 30
    finally:
        os.kill(pid, signal.SIGCONT)
    assert shown["state"] == "unresponsive"
    assert shown["pid"] == pid
    assert shown["disks"][0]["virtual_size_bytes"] == 8 << 20

    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 30
    while (shown := show(web))["state"] != "crashed":
        assert time.monotonic() < end
    assert shown["last_exit"]["reason"] == "crashed"
    assert shown["last_exit"]["time"] == pytest.approx(time.time(), abs=300)
    assert shown["pid"] is None


def test_how_the_last_run_ended(web: QemuHome) -> None:
    start(web)
    assert web("quit", "web").rc == 0
    assert show(web)["last_exit"]["reason"] == "host-qmp-quit"


def test_what_waits_for_the_next_start(web: QemuHome) -> None:
    start(web)
    assert show(web)["next_start"] == {}
    definition = web.paths.instance("web").definition
    text = definition.read_text().replace("memory_mib = 64", "memory_mib = 96")
    definition.write_text(text)
    shown = show(web)
    assert shown["memory_mib"] == 64
    assert shown["next_start"] == {"memory_mib": 96}


def test_a_broken_definition_hides_nothing_else(web: QemuHome) -> None:
    pid = start(web)
    web.paths.instance("web").definition.write_text("format = [")
    shown = show(web)
    assert shown["state"] == "running"
    assert shown["pid"] == pid
    assert shown["memory_mib"] == 64
    assert "not valid TOML" in shown["problems"][0]
    assert shown["profile"] is None
    assert web("kill", "web").rc == 0
    shown = show(web)
    assert shown["state"] == "broken"
    assert "not valid TOML" in shown["reason"]
    table = web("show", "web")
    assert table.rc == 0
    assert "not valid TOML" in table.out


def test_the_directory_removed_below_a_running_vm(web: QemuHome) -> None:
    pid = start(web)
    for file in sorted(web.paths.instance("web").directory.iterdir()):
        file.unlink()
    web.paths.instance("web").directory.rmdir()
    for form in ("table", "json", "yaml", "csv", "value"):
        result = web("show", "web", "-f", form)
        assert result.rc == 0, result.err
        assert str(pid) in result.out


def test_missing_images_are_named(web: QemuHome, tmp_path: Path) -> None:
    base = tmp_path / "base.qcow2"
    base.rename(tmp_path / "elsewhere")
    assert str(base) in show(web)["disks"][0]["problem"]
    disk = Path(show(web)["disks"][0]["file"])
    disk.unlink()
    assert show(web)["disks"][0]["problem"] == f"{disk} is missing"
    table = web("show", "web")
    assert table.rc == 0
    assert f"{disk} is missing" in table.out


def test_without_qemu_the_rest_is_shown(web: QemuHome, tmp_path: Path) -> None:
    result = web(
        *("show", "web", "-f", "json"),
        environment={
            "PATH": str(tmp_path),
            "QEMU_CLI_CONFIG_QEMU_PATH": str(tmp_path),
        },
    )
    assert result.rc == 0, result.err
    assert result.json["qemu_version"] is None
    assert result.json["memory_mib"] == 64
    problems = " ".join(result.json["problems"])
    assert "QEMU" in problems
    assert "qemu-img" in problems


def test_the_table_is_for_people(web: QemuHome) -> None:
    start(web)
    table = web("show", "web").out.splitlines()
    keys = {line.split(":")[0] for line in table if not line.startswith(" ")}
    assert {"name", "state", "pid", "memory", "disks", "monitors"} <= keys
    assert "last exit" not in keys  # what is not known is left out
    assert "64.0 MiB" in "\n".join(table)
    only = web("show", "web", "--columns", "state,disks").out
    assert only.startswith("state: running\ndisks: disk0: disk0.qcow2")


def test_an_unknown_vm(web: QemuHome) -> None:
    result = web("show", "wbe")
    assert result.rc == 3
    assert "did you mean web?" in result.err
