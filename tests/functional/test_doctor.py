"""qemu doctor: real faults, each found, explained and mended as told."""

import fcntl
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.proc import ProcFS
from qemu_cli.testing.home import QemuHome, Result

TIMEOUT_S = 60


def create(qemu_home: QemuHome, name: str = "web") -> None:
    created = qemu_home("create", name, "--accel", "tcg", "--memory", "64M")
    assert created.rc == 0, created.err


def checks(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = result.json
    assert result.rc == any(check["status"] == "fail" for check in found)
    return found


def doctor(qemu_home: QemuHome, **options: Any) -> list[dict[str, Any]]:
    return checks(qemu_home("doctor", "-f", "json", **options))


def one(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (check,) = [check for check in found if check["check"] == name]
    return check


def test_a_host_without_faults(qemu_home: QemuHome) -> None:
    create(qemu_home)
    found = doctor(qemu_home)
    assert [c for c in found if c["status"] == "fail"] == []
    assert one(found, f"qemu {platform.machine()}")["status"] == "ok"
    assert one(found, "qemu-img")["status"] == "ok"
    assert one(found, "kvm")["status"] in ("ok", "warn")
    assert one(found, "VMs")["detail"] == "1 of 1 are well"
    assert one(found, "changes")["status"] == "ok"
    for check in found:
        assert set(check) == {"check", "status", "detail", "fix"}


def test_the_report_names_versions_and_nobody(qemu_home: QemuHome) -> None:
    result = qemu_home(
        *("doctor", "--report"), environment={"HOME": "/home/jo-miller"}
    )
    assert result.rc == 0, result.err
    assert re.search(r"^- qemu-cli \d", result.out, re.M)
    assert re.search(r"^- qemu\.qmp \d", result.out, re.M)
    assert f"- Python {platform.python_version()}" in result.out
    assert re.search(r"^- \*\*ok\*\* qemu x86_64: .*\d\.\d", result.out, re.M)
    assert "jo-miller" not in result.out
    assert not re.search(rf"\b{re.escape(platform.node())}\b", result.out)


def test_sockets_wiped_below_a_running_vm(qemu_home: QemuHome) -> None:
    create(qemu_home)
    assert qemu_home("start", "web").rc == 0
    shutil.rmtree(qemu_home.paths.runtime)

    (row,) = [
        each
        for each in qemu_home("list", "-f", "json").json
        if each["name"] == "web"
    ]
    assert row["state"] == "unresponsive"
    assert "its sockets are gone" in row["reason"]
    shown = qemu_home("show", "web", "-f", "json").json
    assert {each["use"] for each in shown["monitors"]} == {"gone"}
    attached = qemu_home("console", "web")
    assert attached.rc == 4
    assert "qemu doctor" in attached.err

    check = one(doctor(qemu_home), "VM web")
    assert check["status"] == "fail"
    assert f"pid {row['pid']}" in check["detail"]
    assert "qemu kill web" in check["fix"]

    killed = qemu_home("kill", "web")
    assert killed.rc == 0, killed.err
    assert ProcFS().process(row["pid"]) is None
    assert qemu_home("start", "web").rc == 0
    assert one(doctor(qemu_home), "VMs")["detail"] == "1 of 1 are well"


def test_vms_that_are_not_well(qemu_home: QemuHome) -> None:
    for name in ("torn", "dead", "frozen", "well"):
        create(qemu_home, name)
    qemu_home.paths.instance("torn").definition.write_text("format = 1\n")
    assert qemu_home("start", "dead", "frozen").rc == 0
    pids = {
        each["name"]: each["pid"]
        for each in qemu_home("list", "-f", "json").json
    }
    os.kill(pids["dead"], signal.SIGKILL)
    os.kill(pids["frozen"], signal.SIGSTOP)
    try:
        found = doctor(qemu_home)
        told = qemu_home("doctor")
    finally:
        os.kill(pids["frozen"], signal.SIGCONT)
    torn = one(found, "VM torn")
    assert torn["status"] == "fail"
    assert "is missing" in torn["detail"]
    assert one(found, "VM dead")["status"] == "warn"
    assert "qemu start dead" in one(found, "VM dead")["fix"]
    frozen = one(found, "VM frozen")
    assert f"kill -CONT {pids['frozen']}" in frozen["fix"]
    assert one(found, "VMs")["detail"] == "1 of 4 are well"
    # For people: the same, and nothing is cut off.
    assert told.rc == 1
    assert f"fix: {frozen['fix']}" in told.out


def test_an_instance_whose_directory_was_removed(qemu_home: QemuHome) -> None:
    create(qemu_home)
    assert qemu_home("start", "web").rc == 0
    pid = qemu_home("show", "web", "-f", "json").json["pid"]
    shutil.rmtree(qemu_home.paths.instance("web").directory)
    check = one(doctor(qemu_home), "VM web")
    assert check["status"] == "fail"
    assert f"pid {pid}" in check["detail"]

    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + TIMEOUT_S
    while (check := one(doctor(qemu_home), "leftovers"))["status"] == "ok":
        assert time.monotonic() < end
    assert check["status"] == "warn"
    runtime = qemu_home.paths.instance("web").runtime
    assert check["fix"] == f"rm -r {runtime}"
    subprocess.run(check["fix"], shell=True, check=True)
    assert one(doctor(qemu_home), "leftovers")["status"] == "ok"


def test_what_killed_commands_left(qemu_home: QemuHome) -> None:
    create(qemu_home)
    # A create that is killed while qemu-img works for it.
    slow = qemu_home.directory / "bin"
    slow.mkdir()
    tool = slow / "qemu-img"
    tool.write_text('#!/bin/sh\necho $$ > "$0.pid"\nexec sleep 1000\n')
    tool.chmod(0o755)
    with subprocess.Popen(
        [qemu_home.executable, "create", "half", "--disk", "8M"],
        env={**qemu_home.environment, "QEMU_CLI_CONFIG_QEMU_PATH": str(slow)},
    ) as command:
        pid_file = slow / "qemu-img.pid"
        end = time.monotonic() + TIMEOUT_S
        while not pid_file.exists() or not pid_file.read_text().strip():
            assert time.monotonic() < end
            time.sleep(0.05)
        going_on = one(doctor(qemu_home), "changes")
        command.kill()
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    assert going_on["status"] == "ok"  # it was at work, not interrupted
    interrupted = one(doctor(qemu_home), "changes")
    assert interrupted["status"] == "warn"
    assert "'create half' was interrupted" in interrupted["detail"]


def test_a_command_that_holds_a_lock_and_is_stopped(
    qemu_home: QemuHome,
) -> None:
    create(qemu_home)
    path = qemu_home.paths.instance("web").lock
    holder = subprocess.Popen(["sleep", "1000"])
    try:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.write(
                json.dumps(
                    {
                        "pid": holder.pid,
                        "command": "qemu start web",
                        "since": time.time(),
                    }
                )
            )
            lock.flush()
            assert one(doctor(qemu_home), "locks")["status"] == "ok"
            holder.send_signal(signal.SIGSTOP)
            check = one(doctor(qemu_home), "locks")
    finally:
        holder.kill()
        holder.wait()
    assert check["status"] == "warn"
    assert "'qemu start web'" in check["detail"]
    assert f"kill -CONT {holder.pid}" in check["fix"]
    assert one(doctor(qemu_home), "locks")["status"] == "ok"


def test_a_host_without_qemu(qemu_home: QemuHome, tmp_path: Path) -> None:
    found = doctor(
        qemu_home,
        environment={
            "PATH": str(tmp_path),
            "QEMU_CLI_CONFIG_QEMU_PATH": str(tmp_path),
        },
    )
    qemu = one(found, f"qemu {platform.machine()}")
    assert qemu["status"] == "fail"
    assert "apt install" in qemu["fix"]
    assert one(found, "qemu-img")["status"] == "fail"
    assert one(found, "free space")["status"] == "ok"  # the rest goes on


@pytest.mark.parametrize(
    ("home", "check"),
    [
        ("/proc/nowhere", "instances directory"),
        (f"/tmp/{'x' * 120}", "socket paths"),
        ("/run/user/1000/q", "sockets at logout"),
    ],
)
def test_a_home_that_will_not_do(
    qemu_home: QemuHome, home: str, check: str
) -> None:
    found = doctor(qemu_home, environment={"QEMU_CLI_HOME": home})
    assert one(found, check)["status"] == "fail"
    assert one(found, check)["fix"]


def test_a_broken_plug_in_is_named(
    qemu_home: QemuHome, tmp_path: Path
) -> None:
    info = tmp_path / "qemu_cli_torn-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: qemu-cli-torn\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(
        "[qemu_cli.commands]\ntorn = no_such_module:Torn\n"
    )
    found = doctor(qemu_home, environment={"PYTHONPATH": str(tmp_path)})
    assert one(found, "plug-in")["status"] == "fail"
    assert "qemu-cli-torn 1.0" in one(found, "plug-in")["detail"]


def test_settings_that_can_not_be_read(qemu_home: QemuHome) -> None:
    create(qemu_home)
    qemu_home.paths.user_config.write_text("lock.timeout = [")
    found = doctor(qemu_home)
    assert one(found, "settings")["status"] == "fail"
    assert str(qemu_home.paths.user_config) in one(found, "settings")["detail"]
