"""The whole life of one VM, with a real guest."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qemu_cli.testing.home import QemuHome


def rows(qemu_home: QemuHome, name: str) -> list[dict[str, Any]]:
    """What ``qemu list`` says of this name, among all that it lists."""
    result = qemu_home("list", "-f", "json")
    assert result.rc == 0, result.err
    return [each for each in result.json if each["name"] == name]


def row(qemu_home: QemuHome, name: str) -> dict[str, Any]:
    (only,) = rows(qemu_home, name)
    return only


def test_a_whole_life(
    qemu_home: QemuHome,
    create: Callable[..., Any],
    wait_for_guest: Callable[..., None],
) -> None:
    create("web", "--disk", "64M")
    assert row(qemu_home, "web")["state"] == "stopped"
    assert row(qemu_home, "web")["pid"] is None

    started = qemu_home("start", "web")
    assert started.rc == 0, started.err
    running = row(qemu_home, "web")
    assert running["state"] == "running"
    assert running["arch"] == "x86_64"
    assert running["accel"] == "tcg"
    assert running["cpus"] == 1
    assert running["memory_mib"] == 256

    wait_for_guest("web")
    stopped = qemu_home("shutdown", "web")
    assert stopped.rc == 0, stopped.err
    wait_for_guest("web", "GUEST-poweroff")
    assert row(qemu_home, "web")["state"] == "stopped"
    assert not qemu_home.paths.instance("web").pid_file.exists()

    deleted = qemu_home("delete", "web", "--yes")
    assert deleted.rc == 0, deleted.err
    assert rows(qemu_home, "web") == []
    assert not qemu_home.paths.instance("web").directory.exists()


def test_wrong_states_are_told_apart(
    qemu_home: QemuHome, create: Callable[..., Any]
) -> None:
    assert qemu_home("start", "nosuch").rc == 3
    create("web")
    assert qemu_home("shutdown", "web").rc == 4
    assert qemu_home("start", "web").rc == 0
    again = qemu_home("start", "web")
    assert again.rc == 4
    assert "running" in again.err
    assert qemu_home("delete", "web", "--yes").rc == 4
    assert row(qemu_home, "web")["state"] == "running"


def test_the_qemu_under_test_is_the_one_that_runs(
    qemu_home: QemuHome, create: Callable[..., Any]
) -> None:
    binary = os.environ.get("QEMU_CLI_TEST_QEMU", "qemu-system-x86_64")
    said = subprocess.check_output([binary, "--version"], text=True)
    version = re.search(r"version (\d+\.\d+)", said)
    assert version
    create("web")
    assert qemu_home("start", "web").rc == 0
    running = row(qemu_home, "web")
    assert running["machine"] == f"pc-q35-{version[1]}"
    executable = Path(f"/proc/{running['pid']}/exe").resolve()
    assert executable == Path(shutil.which(binary) or "").resolve()
