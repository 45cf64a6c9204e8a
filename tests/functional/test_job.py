"""qemu job, on QEMUs that have something to do."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pexpect
import pytest

from qemu_cli.instance.resolve import resolve
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.testing.home import QemuHome, Result
from tests.functional.until import until

SLOWLY = Path(__file__).with_name("slowly.py")
MIB = 1 << 20
PATIENCE_S = 60.0
SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")
BASE = {"driver": "null-co", "size": 1 << 30}
#: A disk that is full from the first byte on.
FULL = {
    "driver": "blkdebug",
    "image": BASE,
    "inject-error": [
        {"event": "none", "iotype": how, "errno": 28, "once": False}
        for how in ("write", "write-zeroes")
    ],
}


def ok(result: Result) -> Result:
    assert result.rc == 0, result.err
    return result


def qmp(
    home: QemuHome,
    name: str,
    command: str,
    arguments: Mapping[str, Any] | None = None,
    fd: int | None = None,
) -> Any:
    async def work() -> Any:
        sessions = Sessions()
        vm = resolve(home.paths, name, probe=sessions.probe)
        async with sessions.open(vm.monitors) as session, session.exchange():
            if fd is not None:
                await session.execute("getfd", {"fdname": "fd"}, fd=fd)
            return await session.execute(command, arguments)

    return asyncio.run(work())


def rows(home: QemuHome, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ok(
        home("job", "list", *words, "-f", "json")
    ).json
    return found


@pytest.fixture(scope="module")
def home() -> Iterator[QemuHome]:
    """Two VMs that run, ``a`` and ``b``, and one that does not."""
    directory = Path("/tmp") / f"q-job-{os.getpid()}"
    directory.mkdir()
    home = QemuHome(directory / "h")
    try:
        for name in "ab":
            ok(home("create", name, "--disk", "1G", *SMALL, "--start"))
        ok(home("create", "down", *SMALL))
        yield home
    finally:
        home.close()
        shutil.rmtree(directory)


@contextlib.contextmanager
def backup(
    home: QemuHome,
    id: str = "bk",
    *,
    name: str = "a",
    speed: int = 16 * MIB,
    target: Mapping[str, Any] = BASE,
    **more: Any,
) -> Iterator[None]:
    """A job that takes a minute, for the length of the block."""
    node = f"{id}-target"
    qmp(home, name, "blockdev-add", {**target, "node-name": node})
    arguments = {"device": "disk0", "target": node, "sync": "full"}
    arguments |= {"job-id": id, "speed": speed, "auto-dismiss": False}
    qmp(home, name, "blockdev-backup", {**arguments, **more})
    try:
        yield
    finally:
        if any(job["id"] == id for job in qmp(home, name, "query-jobs")):
            home("job", "cancel", name, "--job", id)
            home("job", "dismiss", name, "--job", id)
        qmp(home, name, "blockdev-del", {"node-name": node})


def test_list_and_show(home):
    assert rows(home) == []
    with backup(home):
        until(lambda: rows(home)[0]["current"])
        [row] = rows(home)
        assert (row["vm"], row["id"], row["type"]) == ("a", "bk", "backup")
        assert row["status"] == "running"
        assert row["total"] == 1 << 30
        assert 0 < row["percent"] < 100
        assert (row["error"], row["change"]) == (None, None)
        assert row["limit_bytes"] == 16 * MIB
        assert 0 < row["rate_bytes"] < 64 * MIB
        assert 0 < row["left_s"] < 1000
        assert rows(home, "b") == rows(home, "down") == []
        table = ok(home("job", "list")).out
        assert "backup" in table
        assert "MiB/s" in table
        shown = ok(home("job", "show", "a", "-f", "json")).json
        assert shown.keys() == row.keys()
        assert shown["id"] == "bk"
        for format in ("csv", "yaml", "value", "ndjson"):
            assert "bk" in ok(home("job", "list", "-f", format)).out
    assert rows(home) == []


def test_which_job(home):
    assert home("job", "show", "a").rc == 3
    assert home("job", "show", "down").rc == 4
    with backup(home, "one"), backup(home, "two", name="a"):
        several = home("job", "show", "a")
        assert several.rc == 2
        assert "one, two" in several.err
        shown = ok(home("job", "show", "a", "two", "-f", "json")).json
        assert shown["id"] == "two"
        unknown = home("job", "cancel", "a", "--job", "three")
        assert unknown.rc == 3
        assert "no job 'three'" in unknown.err
        said = ok(home("job", "cancel", "a", "--job", "one")).err
        assert "one: cancelled" in said
        assert [row["id"] for row in rows(home)] == ["two"]


def test_several_jobs_and_vms_at_once(home):
    def states():
        return {(row["vm"], row["id"]): row["status"] for row in rows(home)}

    with backup(home, "x"), backup(home, "y"), backup(home, "x", name="b"):
        assert set(states()) == {("a", "x"), ("a", "y"), ("b", "x")}
        assert [row["vm"] for row in rows(home, "[b]")] == ["b"]
        assert [row["id"] for row in rows(home, "?", "--columns", "id")] == [
            *("x", "y", "x")
        ]
        # Only these of one VM; a job that is not there stops all of it.
        refused = home("job", "pause", "a", "--job", "x", "--job", "z")
        assert refused.rc == 3
        ok(home("job", "pause", "a", "--job", "x", "--job", "y"))
        until(lambda: states()["a", "y"] == "paused")
        assert states()["a", "x"] == "paused"
        assert states()["b", "x"] == "running"
        # All VMs that have such a job; the others say so.
        ok(home("job", "pause", "b"))
        until(lambda: states()["b", "x"] == "paused")
        done = home("job", "resume", "?", "--job", "x", "-f", "json")
        assert done.rc == 0, done.err
        assert [(row["name"], row["code"]) for row in done.json] == [
            *(("a", 0), ("b", 0))
        ]
        until(lambda: states()["b", "x"] == "running")
        assert states()["a", "y"] == "paused"
        ended = home("job", "cancel", "--all", "-f", "json")
        codes = {row["name"]: row["code"] for row in ended.json}
        assert (codes["a"], codes["b"]) == (0, 0), ended
        assert rows(home) == []
        wrong = home("job", "list", "--columns", "idd")
        assert wrong.rc == 2
        assert "id" in wrong.err


def test_pause_and_resume(home):
    with backup(home):
        assert "bk: paused" in ok(home("job", "pause", "a")).err
        until(lambda: rows(home)[0]["status"] == "paused")
        again = home("job", "pause", "a")
        assert again.rc == 4
        assert "already paused" in again.err
        done = rows(home)[0]["current"]
        time.sleep(0.5)
        assert rows(home)[0]["current"] == done
        assert "bk: goes on" in ok(home("job", "resume", "a")).err
        until(lambda: rows(home)[0]["current"] > done)
        again = home("job", "resume", "a")
        assert again.rc == 4
        assert "not paused" in again.err


def test_what_there_is_not(home):
    for command in ("cancel", "pause", "resume"):
        refused = home("job", command, "a")
        assert refused.rc == 4
        assert "'a' has no job" in refused.err
        assert home("job", command, "down").rc == 4
    assert "no job" in ok(home("job", "wait", "a")).err
    assert "no job" in ok(home("job", "dismiss", "a")).err
    assert home("job", "list", "nobody").rc == 3


def test_a_job_that_has_failed_is_kept_until_it_is_dismissed(home):
    with backup(home, target=FULL):
        until(lambda: rows(home)[0]["status"] == "concluded")
        assert rows(home)[0]["error"] == "No space left on device"
        for _ in range(2):
            failed = home("job", "wait", "a")
            assert failed.rc == 5
            assert "bk has failed: No space left on device" in failed.err
        assert "bk: dismissed" in ok(home("job", "dismiss", "a")).err
        assert rows(home) == []
    with backup(home):
        refused = home("job", "dismiss", "a", "--job", "bk")
        assert refused.rc == 4
        assert "qemu job cancel a --job bk" in refused.err
        ok(home("job", "dismiss", "a"))
        assert [row["id"] for row in rows(home)] == ["bk"]


def test_a_job_that_waits_for_room(home):
    how = {"on-target-error": "enospc"}
    with backup(home, target=FULL, **how):
        until(lambda: rows(home)[0]["status"] == "paused")
        assert "make room, and resume it" in rows(home)[0]["error"]
        waited = home("job", "wait", "a", "--timeout", "5s")
        assert waited.rc == 7
        assert "bk is paused (no space left" in waited.err


class Wait:
    """``qemu job wait``, beside us; it has looked at the jobs once."""

    def __init__(self, home: QemuHome, *words: str) -> None:
        self.child = subprocess.Popen(
            [home.executable, "--trace-qmp", "job", "wait", *words],
            env=home.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.child.stderr
        for line in self.child.stderr:
            if "query-dump" in line:
                break

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it has said; not what it has traced."""
        _, err = self.child.communicate(timeout=PATIENCE_S)
        lines = [line for line in err.splitlines() if line[:1] not in "→←"]
        return self.child.returncode, "\n".join(lines)

    def __enter__(self) -> "Wait":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.child.kill()
        self.child.communicate()


def speed_up(home: QemuHome, id: str = "bk", name: str = "a") -> None:
    qmp(home, name, "block-job-set-speed", {"device": id, "speed": 0})


def test_wait(home):
    with backup(home):
        with Wait(home, "a") as one, Wait(home) as two:
            assert rows(home)[0]["status"] == "running"
            assert (one.child.poll(), two.child.poll()) == (None, None)
            speed_up(home)
            for each in (one, two):
                rc, err = each.end()
                assert rc == 0, err
        assert rows(home)[0]["status"] == "concluded"
        assert "bk is done" in ok(home("job", "wait", "a")).err
        ok(home("job", "dismiss", "a"))


def test_wait_for_no_longer_than_that(home):
    with backup(home):
        late = home("job", "wait", "a", "--timeout", "300ms")
        assert late.rc == 7
        assert "go on after 0.3 s" in late.err
        assert rows(home)[0]["status"] == "running"


def test_ctrl_c_ends_the_waiting_and_not_the_job(home):
    with backup(home):
        with Wait(home, "a") as wait:
            wait.child.send_signal(signal.SIGINT)
            assert wait.end()[0] == 130
        assert rows(home)[0]["status"] == "running"


def test_a_job_that_vanishes_with_its_error(home):
    middle = {"iotype": "write-zeroes", "sector": 1 << 20, "errno": 28}
    half = {**FULL, "inject-error": [{"event": "none", **middle}]}
    with (
        backup(home, target=half, **{"auto-dismiss": True}),
        Wait(home, "a") as wait,
    ):
        speed_up(home)
        rc, err = wait.end()
        assert rc == 5
        assert "bk has failed: No space left on device" in err
    assert rows(home) == []


def test_a_job_that_somebody_cancels(home):
    with (
        backup(home, **{"auto-dismiss": True}),
        Wait(home, "a") as one,
        Wait(home, "a") as two,
    ):
        ok(home("job", "cancel", "a"))
        for wait in (one, two):
            rc, err = wait.end()
            assert rc == 5
            assert "cancel" in err
    assert rows(home) == []


def test_progress_on_a_terminal(home):
    with backup(home):
        child = pexpect.spawn(
            str(home.executable),
            ["job", "wait", "a"],
            env=home.environment,
            timeout=PATIENCE_S,
            dimensions=(24, 100),
        )
        try:
            child.expect(r"a: bk .*\d+ %, [\d.]+ [KM]iB/s, \d.* left")
            speed_up(home)
            child.expect("bk is done")
            child.expect(pexpect.EOF)
        finally:
            child.close(force=True)
        assert child.exitstatus == 0
        ok(home("job", "dismiss", "a"))


def test_a_job_that_wants_an_order(home):
    qmp(home, "a", "blockdev-add", {**BASE, "node-name": "copy"})
    arguments = {"job-id": "mi", "device": "disk0", "target": "copy"}
    arguments |= {"sync": "none", "auto-dismiss": False}
    qmp(home, "a", "blockdev-mirror", arguments)
    try:
        said = ok(home("job", "wait", "a")).err
        assert "mi is ready: it waits for an order" in said
        assert "mi: cancelled" in ok(home("job", "cancel", "a")).err
        assert rows(home) == []
    finally:
        qmp(home, "a", "blockdev-del", {"node-name": "copy"})


def test_a_migration(home, short_dir):
    """To somebody who never reads."""
    address = str(short_dir / "m")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(1)
        slow = {"max-bandwidth": 4096}
        qmp(home, "b", "migrate-set-parameters", slow)
        qmp(home, "b", "migrate", {"uri": f"unix:{address}"})
        until(lambda: rows(home)[0]["status"] == "active")
        [row] = rows(home)
        assert (row["vm"], row["id"]) == ("b", "migration")
        assert row["total"] > 64 * MIB
        refused = home("job", "pause", "b")
        assert refused.rc == 4
        assert "a migration can't make a pause" in refused.err
        with Wait(home, "b") as wait:
            said = ok(home("job", "cancel", "b")).err
            assert "migration: cancelled" in said
            rc, err = wait.end()
            assert rc == 5
            assert "it was cancelled" in err
    until(lambda: rows(home) == [])
    assert qmp(home, "b", "query-status")["status"] == "running"


def test_a_dump_can_not_be_cancelled(home):
    """Into a pipe that nobody reads."""
    reader, writer = os.pipe()
    arguments = {"paging": False, "protocol": "fd:fd", "detach": True}
    try:
        qmp(home, "b", "dump-guest-memory", arguments, writer)
        os.close(writer)
        [row] = rows(home)
        assert (row["id"], row["status"]) == ("dump", "active")
        refused = home("job", "cancel", "b")
        assert refused.rc == 4
        assert "can't cancel a dump" in refused.err
        with Wait(home, "b") as wait:
            while os.read(reader, MIB):
                pass
            rc, err = wait.end()
            assert rc == 0, err
            assert "dump is done" in err
    finally:
        os.close(reader)
    assert rows(home) == []


# QEMU in trouble


def pid_of(home: QemuHome, name: str) -> int:
    [row] = ok(home("list", name, "-f", "json")).json
    return int(row["pid"])


def test_a_qemu_that_is_stopped(home):
    pid = pid_of(home, "a")
    with backup(home):
        with Wait(home, "a") as wait:
            os.kill(pid, signal.SIGSTOP)
            try:
                rc, err = wait.end()
                assert rc == 4
                assert f"kill -CONT {pid}" in err
                listed = ok(home("job", "list"))
                assert listed.out.count("\n") == 1
                assert "a: unresponsive" in listed.err
                refused = home("job", "cancel", "a")
                assert refused.rc == 4
                assert f"kill -CONT {pid}" in refused.err
            finally:
                os.kill(pid, signal.SIGCONT)
        assert rows(home)[0]["id"] == "bk"


@pytest.mark.parametrize("how", ["quit", "kill"])
def test_a_qemu_that_ends(home, how):
    ok(home("create", "c", "--disk", "1G", *SMALL, "--start"))
    try:
        qmp(home, "c", "blockdev-add", {**BASE, "node-name": "t"})
        arguments = {"device": "disk0", "target": "t", "sync": "full"}
        arguments |= {"job-id": "bk", "speed": MIB}
        qmp(home, "c", "blockdev-backup", arguments)
        with Wait(home, "c") as wait:
            ok(home(how, "c"))
            rc, err = wait.end()
        assert rc == 1
        assert "QEMU of 'c' has ended, and its jobs with it" in err
    finally:
        ok(home("delete", "c", "--yes"))


# What was left to a job


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
