"""qemu wait: every condition, on real QEMUs and a real guest."""

import os
import signal
import socket
import subprocess
import time

import pytest

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")
PATIENCE_S = 60.0


@pytest.fixture
def web(qemu_home):
    assert qemu_home("create", "web", "--disk", "16M", *SMALL).rc == 0
    return qemu_home.paths.instance("web")


@pytest.fixture
def waiting(qemu_home):
    """Start ``qemu wait …``; gives a function that waits for its end."""
    started = []

    def start(*words):
        process = subprocess.Popen(
            [qemu_home.executable, "wait", *words],
            env=qemu_home.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        time.sleep(0.7)  # until it waits

        def result():
            _, err = process.communicate(timeout=PATIENCE_S)
            return process.returncode, err

        return result

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_states_come_and_go(qemu_home, web, waiting):
    assert qemu_home("wait", "web", "--for", "stopped").rc == 0
    paused = waiting("web", "--for", "paused")
    assert qemu_home("start", "web", "--paused").rc == 0
    assert paused()[0] == 0
    running = waiting("web", "--for", "running")
    assert qemu_home("resume", "web").rc == 0
    assert running() == (0, "web: running: running\n")
    stopped = waiting("web", "--for", "stopped")
    assert qemu_home("quit", "web").rc == 0
    assert stopped() == (0, "web: stopped: stopped: host-qmp-quit\n")


def test_a_kill_is_an_end_too(qemu_home, web, waiting):
    assert qemu_home("start", "web", "--paused").rc == 0
    stopped = waiting("web", "--for", "stopped")
    agent = waiting("web", "--for", "agent")
    (row,) = qemu_home("list", "-f", "json").json
    os.kill(row["pid"], signal.SIGKILL)
    assert stopped()[0] == 0
    code, err = agent()
    assert code == 4
    assert "'web' has ended, and agent did not come" in err


def test_events_and_any_of_them(qemu_home, web, waiting):
    assert qemu_home("start", "web", "--paused").rc == 0
    both = waiting("web", "--for", "event:stop", "--for", "event:RESUME")
    first = waiting(
        "web", "--for", "event:nosuch", "--for", "running", "--any"
    )
    assert qemu_home("resume", "web").rc == 0
    assert first() == (0, "web: running: running\n")
    assert qemu_home("pause", "web").rc == 0
    assert both() == (
        0,
        "web: event:RESUME: RESUME {}\nweb: event:stop: STOP {}\n",
    )


def test_when_the_time_is_over(qemu_home, web):
    result = qemu_home(
        *("wait", "web", "--for", "running", "--for", "stopped"),
        *("--timeout", "300ms"),
    )
    assert result.rc == 7
    assert "not within 0.3 s: web: running\n" in result.err


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["nosuch", "--for", "running"], 3, "nosuch"),
        (["web"], 2, "--for"),
        (["web", "--for", "runing"], 2, "did you mean running?"),
        (["web", "--for", "running:x"], 2, "it takes no argument: x"),
        (["web", "--for", "console:("], 2, "is no regular expression"),
        (["web", "--for", "console"], 2, "it needs an argument"),
        (["web", "--for", "port:ssh"], 2, "'ssh' is no port"),
        (["web", "--for", "port:22"], 3, "leads to port 22"),
        (["web", "--for", "job:x"], 3, "there is no job 'x'"),
        (["web", "--for", "running", "--timeout", "x"], 2, "not a duration"),
    ],
)
def test_what_is_wrong_is_named(qemu_home, web, words, code, why):
    assert qemu_home("start", "web", "--paused").rc == 0
    result = qemu_home("wait", *words, timeout_s=20)
    assert (result.rc, result.out) == (code, "")
    assert why in result.err


def test_a_job(qemu_home, web, waiting):
    assert qemu_home("start", "web", "--paused").rc == 0
    target = web.directory / "copy.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", target, "16M"]
    subprocess.run(command, check=True)
    orders = (
        f"blockdev-add driver=qcow2 node-name=t file.driver=file"
        f" file.filename={target}",
        "blockdev-mirror job-id=j device=disk0 target=t sync=full"
        " auto-dismiss=off",
    )
    assert qemu_home("qmp", "web", stdin="\n".join(orders)).rc == 0
    job = waiting("web", "--for", "job:j")
    time.sleep(0.5)
    assert qemu_home("qmp", "web", "job-cancel", "id=j").rc == 0
    assert job() == (5, "qemu: error: j: Operation canceled\n")
    (left,) = qemu_home("qmp", "web", "query-jobs").json
    assert left["status"] == "concluded"  # it is not ours to dismiss


def test_inside_the_guest(qemu_home, create, waiting):
    create("web", "--forward", ":7777")
    wanted = [
        waiting("web", "--for", each)
        for each in ("console:^GUEST-READY$", "agent", "port:7777")
    ]
    assert qemu_home("start", "web").rc == 0
    assert wanted[0]() == (0, "web: console:^GUEST-READY$: GUEST-READY\n")
    agent = wanted[1]()
    assert agent[0] == 0, agent
    # The user network takes the connection, though nobody listens.
    closed = qemu_home("wait", "web", "--for", "port:7777", "--timeout", "2s")
    assert closed.rc == 7
    with socket.socket(socket.AF_UNIX) as serial:
        serial.connect(str(qemu_home.paths.instance("web").serial_socket))
        serial.sendall(b"while :; do nc -l -p 7777; done &\n")
        code, err = wanted[2]()
    assert code == 0
    assert err.startswith("web: port:7777: 127.0.0.1:")


def test_the_console_of_this_boot_only(qemu_home, web):
    log = web.serial_log
    log.write_text("login: of the last boot\n")
    assert qemu_home("start", "web", "--paused").rc == 0
    words = ("wait", "web", "--for", "console:login: ", "--timeout", "1s")
    assert qemu_home(*words).rc == 7
    with log.open("a") as stream:
        stream.write("\r\nnew login: ")
    result = qemu_home(*words)
    assert (result.rc, result.err) == (
        0,
        "web: console:login: : new login:\n",
    )


def test_a_deleted_instance_is_not_waited_for(qemu_home, web, waiting):
    running = waiting("web", "--for", "running")
    assert qemu_home("delete", "web", "--yes").rc == 0
    code, err = running()
    assert code == 4
    assert "'web' is gone" in err
