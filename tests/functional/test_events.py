"""qemu events: real QEMUs tell, and any number of commands listen."""

import json
import signal
import subprocess
import time

import pytest

from qemu_cli.proc import ProcFS

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")
PATIENCE_S = 30.0


@pytest.fixture
def web(qemu_home):
    assert qemu_home("create", "web", *SMALL).rc == 0
    return qemu_home.paths.instance("web")


@pytest.fixture
def following(qemu_home):
    """Start ``qemu events …``; gives its process."""
    started = []

    def start(*words):
        process = subprocess.Popen(
            [qemu_home.executable, "events", *words, "-f", "ndjson"],
            env=qemu_home.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        time.sleep(0.7)  # until it listens; what comes before is not its own
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(PATIENCE_S)
        process.stdout.close()


def told(process):
    event = json.loads(process.stdout.readline())
    return event["vm"], event["event"]


def test_events_come_as_they_happen_over_runs(qemu_home, web, following):
    every, some = following(), following("web", "--event", "shutdown")
    assert qemu_home("start", "web", "--paused").rc == 0
    assert qemu_home("resume", "web").rc == 0
    assert told(every) == ("web", "RESUME")
    assert qemu_home("pause", "web").rc == 0
    assert told(every) == ("web", "STOP")
    for _ in range(2):
        assert qemu_home("quit", "web").rc == 0
        assert told(every) == ("web", "SHUTDOWN")
        event = json.loads(some.stdout.readline())
        assert event["data"] == {"guest": False, "reason": "host-qmp-quit"}
        assert abs(event["time"] - time.time()) < PATIENCE_S
        assert qemu_home("start", "web", "--paused").rc == 0


def test_followers_hold_up_nobody(qemu_home, web, following):
    assert qemu_home("start", "web", "--paused").rc == 0
    many = [following("web") for _ in range(4)]
    assert qemu_home("resume", "web", timeout_s=10).rc == 0
    assert qemu_home("qmp", "web", "stop", timeout_s=10).rc == 0
    for process in many:
        assert told(process) == ("web", "RESUME")
        assert told(process) == ("web", "STOP")
    pid = qemu_home("list", "-f", "json").json[0]["pid"]
    sockets = (web.control_socket, web.probe_socket, *web.follower_sockets)
    for socket in sockets:
        assert ProcFS().monitor_use(pid, str(socket)) == (False, 0)


def test_what_was_told_before(qemu_home, web, following):
    assert qemu_home("start", "web").rc == 0
    assert qemu_home("pause", "web").rc == 0
    process = following("web", "--since", "1h")
    assert told(process)[1] in ("RESUME", "STOP")
    late = following("web", "--since", "0s")
    assert qemu_home("resume", "web").rc == 0
    assert told(late) == ("web", "RESUME")


def test_it_ends_with_the_instance_and_on_ctrl_c(qemu_home, web, following):
    one, other = following("web"), following()
    other.send_signal(signal.SIGINT)
    assert other.wait(PATIENCE_S) == 130
    assert qemu_home("delete", "web", "--yes").rc == 0
    assert one.wait(PATIENCE_S) == 0


def test_what_can_not_be_followed(qemu_home, web):
    assert qemu_home("events", "nosuch").rc == 3
    assert qemu_home("events", "web", "--since", "long").rc == 2
    assert qemu_home("events", "-f", "csv").rc == 2
    assert qemu_home("start", "web", "--paused").rc == 0
    assert qemu_home("quit", "web").rc == 0
    script = subprocess.Popen(["sh", web.command])
    try:
        end = time.monotonic() + PATIENCE_S
        while "running" not in qemu_home("list").out:
            assert time.monotonic() < end
            time.sleep(0.1)
        refused = qemu_home("events", "web")
        assert refused.rc == 4
        assert "this program has not started it" in refused.err
    finally:
        script.kill()
        script.wait(PATIENCE_S)


def test_no_instances(qemu_home):
    result = qemu_home("events")
    assert result.rc == 2
    assert "there is no VM to follow" in result.err
