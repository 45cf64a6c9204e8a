"""qemu job, on QEMUs that have something to do."""

import os
import signal
import socket
import time

import pytest

from tests.functional.job.asking import (
    BASE,
    FULL,
    MIB,
    SMALL,
    Wait,
    backup,
    ok,
    pid_of,
    qmp,
    rows,
)
from tests.functional.until import until


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
