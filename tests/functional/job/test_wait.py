"""qemu job wait."""

import signal

import pexpect

from tests.functional.job.asking import (
    BASE,
    FULL,
    PATIENCE_S,
    Wait,
    backup,
    ok,
    qmp,
    rows,
    speed_up,
)


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
