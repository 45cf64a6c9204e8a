"""qemu run: in the foreground, and nothing left with --rm."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pexpect
import pytest

from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest
from tests.functional.until import until

BOOT_TIMEOUT_S = 120.0


@pytest.fixture
def options(tiny_guest: TinyGuest) -> list[str]:
    return [
        *("--kernel", str(tiny_guest.kernel)),
        *("--initrd", str(tiny_guest.initrd), "--memory", "256M"),
        *("--append", "console=ttyS0 quiet", "--accel", "tcg"),
    ]


def begin(
    qemu_home: QemuHome, output: Path, *words: str
) -> subprocess.Popen[bytes]:
    with output.open("wb") as stream:
        return subprocess.Popen(
            [qemu_home.executable, "run", "r", *words],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=qemu_home.environment,
        )


def nothing_left(qemu_home: QemuHome) -> bool:
    return not [
        each
        for each in qemu_home.paths.instances.iterdir()
        if not each.name.startswith(".")
        or (each.name == ".pending" and any(each.iterdir()))
    ]


def test_ctrl_c_shuts_the_guest_down(
    qemu_home: QemuHome, options: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    process = begin(qemu_home, output, *options, "--rm")
    until(lambda: b"GUEST-READY" in output.read_bytes(), "it does not boot")
    (only,) = qemu_home("list", "-f", "json").json
    process.send_signal(signal.SIGINT)
    assert process.wait(BOOT_TIMEOUT_S) == 0
    assert b"GUEST-poweroff" in output.read_bytes()
    assert nothing_left(qemu_home)
    assert qemu_home("list", "-q").out == ""
    assert only["name"] == "r"


def test_nothing_is_left_of_one_that_is_killed(
    qemu_home: QemuHome, options: list[str], tmp_path: Path
) -> None:
    process = begin(qemu_home, tmp_path / "out", *options, "--rm")
    pid_file = qemu_home.paths.instance("r").pid_file
    until(pid_file.exists, "it does not start")
    time.sleep(1)  # it may be in the start, or follow the guest
    (only,) = qemu_home("list", "-f", "json").json
    assert only["pid"]
    process.kill()
    process.wait()
    until(lambda: nothing_left(qemu_home), "it is left")
    assert qemu_home("list", "-q").out == ""


def test_one_that_exists_is_kept(qemu_home: QemuHome, tmp_path: Path) -> None:
    missing = qemu_home("run", "r")
    assert missing.rc == 3
    assert "no instance 'r'" in missing.err
    created = qemu_home("create", "r", "--accel", "tcg", "--memory", "64M")
    assert created.rc == 0
    refused = qemu_home("run", "r", "--rm")
    assert refused.rc == 4
    refused = qemu_home("run", "r", "--memory", "64M")
    assert refused.rc == 4

    process = begin(qemu_home, tmp_path / "out")
    pid_file = qemu_home.paths.instance("r").pid_file
    until(pid_file.exists, "it does not start")
    until(lambda: "running" in qemu_home("list").out, "it does not run")
    # QEMU ends, but its guest has not shut down.
    assert qemu_home("quit", "r").rc == 0
    assert process.wait(BOOT_TIMEOUT_S) == 1
    assert "host-qmp-quit" in (tmp_path / "out").read_text()
    assert qemu_home("list", "-q").out == "r\n"


def test_on_a_terminal_the_console_is_attached(
    qemu_home: QemuHome, options: list[str]
) -> None:
    terminal = pexpect.spawn(
        str(qemu_home.executable),
        ["run", "r", *options, "--rm"],
        env={**os.environ, **qemu_home.environment},
        timeout=BOOT_TIMEOUT_S,
        encoding="utf-8",
    )
    terminal.expect("guest# ")
    terminal.sendline("echo $((40 + 2))x")
    terminal.expect("42x")
    terminal.send("\x1d")  # Ctrl-]
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert nothing_left(qemu_home)
