"""qemu exec: what goes wrong in the middle."""

import time

import pytest


def begun(guest, *options, line="sleep 345"):
    """Start an exec, and wait until its program runs."""
    words = ("exec", "g", *options, "--", "sh", "-c", f"echo begun; {line}")
    process = guest.begin(*words)
    assert process.stdout.readline() == b"begun\n"
    return process


def test_a_program_that_never_ends(guest):
    done = guest.exec("sleep", "345", options=("--timeout", "1s"))
    assert done.returncode == 125
    assert b"sleep did not end in 1 s, and was ended" in done.stderr
    assert not guest.runs("sleep 345")


def test_a_program_that_ignores_the_first_signal(guest):
    line = "trap '' TERM; while :; do sleep 1; done"
    done = guest.exec("sh", "-c", line, options=("--timeout", "1s"))
    assert done.returncode == 125
    assert not guest.runs("sh -c trap")


def test_ctrl_c_ends_the_program(guest):
    with begun(guest) as process:
        code, out, err = guest.interrupt(process)
    assert (code, out) == (130, b""), err
    assert not guest.runs("sleep 345")


def test_others_reach_the_agent_meanwhile(guest):
    with begun(guest) as process:
        assert guest.sh("echo still here") == "still here"
        assert guest.interrupt(process)[0] == 130


def test_the_agent_is_started_again_in_the_middle(guest):
    line = "while [ ! -e /go ]; do sleep 0.1; done; rm /go; echo done; exit 5"
    with begun(guest, line=line) as process:
        guest.console("killall -9 qemu-ga")
        guest.console("touch /go")
        out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == (b"done\n", 5), err


def test_the_program_ends_with_the_agent(guest):
    with begun(guest) as process:
        guest.console("killall -9 qemu-ga sleep; pkill -9 -f echo.begun")
        out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == (b"", 125)
    assert b"started again, and sh ended with it" in err


def test_an_agent_that_hangs_at_the_beginning(guest):
    with guest.stopped_agent():
        began = time.monotonic()
        done = guest.exec("true")
        assert time.monotonic() - began < 60
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"the guest agent did not answer in 5 s" in done.stderr


def test_an_agent_that_hangs_in_the_middle(guest):
    """For a while: what was said meanwhile comes late, but comes."""
    line = "while [ ! -e /go ]; do sleep 0.1; done; rm /go; echo late"
    with begun(guest, line=line) as process:
        with guest.stopped_agent():
            guest.console("touch /go; sleep 2")
            assert process.poll() is None
        out, err = process.communicate(timeout=90)
    assert (out, process.returncode) == (b"late\n", 0), err


def test_the_guest_is_frozen_in_the_middle(guest):
    line = "while [ ! -e /go ]; do sleep 0.1; done; rm /go; echo thawed"
    with begun(guest, line=line) as process:
        try:
            assert guest.agent(lambda agent: agent.freeze()) == 1
            guest.console("touch /go; sleep 1")
            assert process.poll() is None
        finally:
            guest.agent(lambda agent: agent.thaw())
        out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == (b"thawed\n", 0), err


def test_no_room_for_output_in_the_guest(guest):
    guest.console("mount -t tmpfs -o nr_inodes=1 none /tmp")
    try:
        done = guest.exec("true")
    finally:
        guest.console("umount /tmp")
    assert done.returncode == 125
    assert b"no room for output" in done.stderr
    assert b"No space left on device" in done.stderr


def test_qemu_is_killed_in_the_middle(home, boot):
    guest = boot("k", "--memory", "256M")
    with guest.begin("exec", "k", "--", "sh", "-c", "echo x; sleep 9") as run:
        assert run.stdout.readline() == b"x\n"
        assert home("kill", "k").rc == 0
        _, err = run.communicate(timeout=60)
    assert run.returncode == 125, err
    assert b"has ended" in err


@pytest.mark.parametrize("name", ["nosuch", "stopped"])
def test_no_such_vm(guest, home, name):
    home("create", "stopped", "--accel", "tcg", "--memory", "64M")
    done = guest.qemu("exec", name, "--", "true")
    assert done.returncode == 125
    assert name.encode() in done.stderr


def test_no_agent(guest, home):
    """A VM without a guest: one line says what is missing."""
    created = ("create", "bare", "--accel", "tcg", "--memory", "64M")
    assert home(*created, "--nic", "none").rc == 0
    assert home("start", "bare").rc == 0
    done = guest.qemu("exec", "bare", "--", "true")
    assert done.returncode == 125
    assert b"no guest agent runs in 'bare'" in done.stderr
    assert b"install qemu-guest-agent" in done.stderr
    home("kill", "bare")


def test_nothing_to_run(guest):
    done = guest.qemu("exec", "g")
    assert done.returncode == 2
    assert b"no command to run" in done.stderr
