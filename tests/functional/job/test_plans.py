"""qemu job, on those that plans have left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome
from tests.functional.job.asking import (
    MIB,
    PATIENCE_S,
    SMALL,
    Wait,
    ok,
    pid_of,
    qmp,
    rows,
    speed_up,
)
from tests.functional.until import until

SLOWLY = Path(__file__).parents[1] / "slowly.py"


@pytest.fixture
def moving(home, tmp_path):
    """Move the disk of ``m``, slowly: ``moving(TARGET, …)``."""
    ok(home("create", "m", "--disk", "64M", *SMALL, "--start"))
    fill = 'qemu-io -d /machine/peripheral/disk0/virtio-backend "write 0 64M"'
    qmp(home, "m", "human-monitor-command", {"command-line": fill})
    children = []

    def move(target: Path, *options: str) -> subprocess.Popen[str]:
        words = ("disk", "move", "m", "disk0", target, *options)
        child = subprocess.Popen(
            [sys.executable, SLOWLY, str(MIB), *words],
            env=home.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        if "--detach" in options:
            _, err = child.communicate(timeout=PATIENCE_S)
            assert child.returncode == 0, err
        return child

    yield move
    for child in children:
        child.kill()
        child.communicate()
    ok(home("kill", "m"))
    ok(home("delete", "m", "--yes"))


def disk_of(home: QemuHome) -> str:
    [row] = ok(home("disk", "list", "m", "-f", "json")).json
    return str(row["file"])


def test_wait_finishes_what_was_left_to_a_job(home, moving, tmp_path):
    target = tmp_path / "new.qcow2"
    moving(target, "--detach")
    [row] = rows(home, "m")
    assert row["change"] == "disk move m disk0"
    busy = home("set", "m", "memory=96M")
    assert busy.rc == 6
    assert "'qemu job wait m'" in busy.err
    assert disk_of(home) != str(target)
    with Wait(home, "m") as wait:
        speed_up(home, row["id"], "m")
        rc, err = wait.end()
        assert rc == 0, err
        assert "'disk move m disk0' is done" in err
    assert disk_of(home) == str(target)
    assert rows(home, "m") == []
    ok(home("set", "m", "memory=96M"))


def test_cancel_takes_back_what_was_left_to_a_job(home, moving, tmp_path):
    before = disk_of(home)
    moving(tmp_path / "new.qcow2", "--detach")
    with Wait(home, "m") as wait:
        said = ok(home("job", "cancel", "m")).err
        assert "taken back" in said
        wait.end()
    assert disk_of(home) == before
    assert rows(home, "m") == []
    assert list(tmp_path.iterdir()) == []
    ok(home("set", "m", "memory=96M"))


def test_a_job_of_a_plan_that_fails(home, moving, short_dir):
    before = disk_of(home)
    directory = short_dir / "t"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", directory]
    subprocess.run(mount, check=True)
    try:
        moving(directory / "new.qcow2", "--detach")
        [row] = rows(home, "m")
        speed_up(home, row["id"], "m")
        failed = home("job", "wait", "m")
        assert failed.rc == 5
        assert "'disk move m disk0' has failed" in failed.err
        assert "No space left on device" in failed.err
        assert list(directory.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", directory], check=True)
    assert disk_of(home) == before
    assert rows(home, "m") == []


def test_a_qemu_that_ends_before_its_job(home, moving, tmp_path):
    before = disk_of(home)
    moving(tmp_path / "new.qcow2", "--detach")
    os.kill(pid_of(home, "m"), signal.SIGKILL)
    until(lambda: home("list", "m", "--state", "crashed", "-q").out)
    failed = home("job", "wait", "m")
    assert failed.rc != 0
    assert disk_of(home) == before
    assert list(tmp_path.iterdir()) == []
    ok(home("start", "m"))


def test_a_command_that_was_killed_at_its_job(home, moving, tmp_path):
    before = disk_of(home)
    child = moving(tmp_path / "new.qcow2")
    until(lambda: rows(home, "m"))
    child.kill()
    child.wait()
    said = ok(home("job", "wait", "m")).err
    assert "had been interrupted: took it back" in said
    assert disk_of(home) == before
    assert rows(home, "m") == []
    assert list(tmp_path.iterdir()) == []


def test_cancel_while_a_command_waits_for_the_job(home, moving, tmp_path):
    before = disk_of(home)
    child = moving(tmp_path / "new.qcow2")
    [row] = until(lambda: rows(home, "m"))
    assert row["change"] == "disk move m disk0"
    ok(home("job", "cancel", "m"))
    _, err = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 5, err
    assert "canceled" in err
    assert disk_of(home) == before
    assert list(tmp_path.iterdir()) == []
