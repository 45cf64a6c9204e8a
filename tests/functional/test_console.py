"""qemu console: on a real terminal, with the real guest where it matters."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pexpect import fdpexpect

from qemu_cli.testing.home import QemuHome

TIMEOUT_S = 120
ATTACHED = "Ctrl-] leaves"
ESCAPE = "\x1d"


class Terminal:
    """A terminal of our own, that stays when the program has left it."""

    def __init__(self, web: QemuHome, *words: str) -> None:
        self.ours, self.its = pty.openpty()
        self.before = termios.tcgetattr(self.its)
        self.process = subprocess.Popen(
            [web.executable, *words],
            stdin=self.its,
            stdout=self.its,
            stderr=self.its,
            env=web.environment,
            start_new_session=True,
        )
        self.screen = fdpexpect.fdspawn(
            self.ours, timeout=TIMEOUT_S, encoding="utf-8"
        )

    @property
    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.its)[3] & termios.ICANON

    def wait_raw(self) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not self.is_raw:
            assert time.monotonic() < end
            assert self.process.poll() is None
            time.sleep(0.02)

    def resize(self, rows: int, columns: int) -> None:
        size = struct.pack("4H", rows, columns, 0, 0)
        fcntl.ioctl(self.its, termios.TIOCSWINSZ, size)
        self.process.send_signal(signal.SIGWINCH)

    def left(self) -> int:
        """Wait for the end; the terminal must be as it was before."""
        code = self.process.wait(TIMEOUT_S)
        assert termios.tcgetattr(self.its) == self.before
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.its)


@contextmanager
def terminal(web: QemuHome, *words: str) -> Iterator[Terminal]:
    it = Terminal(web, *words)
    try:
        yield it
    finally:
        it.close()


def pid_of(web: QemuHome) -> int:
    return int(web("show", "web", "-f", "json").json["pid"])


@pytest.fixture
def web(qemu_home: QemuHome) -> QemuHome:
    """A VM that runs and has no guest: it starts in no time."""
    created = qemu_home("create", "web", "--accel", "tcg", "--memory", "64M")
    assert created.rc == 0, created.err
    started = qemu_home("start", "web")
    assert started.rc == 0, started.err
    return qemu_home


def test_a_guest_on_a_terminal_and_in_a_pipe(
    qemu_home: QemuHome, create: Callable[..., Any]
) -> None:
    create("web")
    with terminal(qemu_home, "start", "web", "--console") as it:
        it.screen.expect(re.escape(ATTACHED))
        it.screen.expect("GUEST-READY")
        it.screen.expect("guest# ")
        it.screen.send("echo $((40 + 2))\r")
        it.screen.expect("\n42\r")
        it.resize(50, 132)
        it.resize(20, 70)
        it.screen.send("echo still $((6 * 7))\r")
        it.screen.expect("still 42\r")
        # Ctrl-C is the guest's.
        it.screen.send("sh -c 'echo be''gun; sleep 1000'\r")
        it.screen.expect("begun\r")
        it.screen.send("\x03")
        it.screen.expect("guest# ")
        it.screen.send(ESCAPE)
        it.screen.expect("it still runs")
        assert it.left() == 0

    piped = qemu_home(
        *("console", "web", "--silence", "10s"), stdin="echo $((41 + 2))\n"
    )
    assert piped.rc == 0, piped.err
    assert "\n43\n" in piped.out
    assert piped.err == ""

    with terminal(qemu_home, "console", "web") as it:
        it.screen.expect(re.escape(ATTACHED))
        it.screen.expect("still 42")  # what was before, from the log
        it.screen.expect("\n43\r")
        it.wait_raw()
        it.screen.send("poweroff -f\r")
        it.screen.expect("it has ended .guest-shutdown.")
        assert it.left() == 0


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
)
def test_the_terminal_is_restored_after_a_signal(
    web: QemuHome, number: signal.Signals, code: int
) -> None:
    with terminal(web, "console", "web") as it:
        it.wait_raw()
        it.process.send_signal(number)
        assert it.left() == code
    assert pid_of(web)


def test_the_terminal_is_restored_when_qemu_is_killed(web: QemuHome) -> None:
    with terminal(web, "console", "web") as it:
        it.wait_raw()
        os.kill(pid_of(web), signal.SIGKILL)
        it.screen.expect("'web' has crashed")
        assert it.left() == 1


def test_stopped_and_continued_it_is_raw_again(web: QemuHome) -> None:
    with terminal(web, "console", "web") as it:
        it.wait_raw()
        it.process.send_signal(signal.SIGSTOP)
        termios.tcsetattr(it.its, termios.TCSANOW, it.before)  # as a shell
        it.process.send_signal(signal.SIGCONT)
        it.wait_raw()
        it.screen.send(ESCAPE)
        assert it.left() == 0


def test_leaving_while_the_guest_takes_nothing(web: QemuHome) -> None:
    pid = pid_of(web)
    with terminal(web, "console", "web") as it:
        it.wait_raw()
        os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(300):
                it.screen.send("x" * 2000)
            it.screen.send(ESCAPE)
            assert it.left() == 0
        finally:
            os.kill(pid, signal.SIGCONT)


def test_one_at_a_time(web: QemuHome) -> None:
    with terminal(web, "console", "web") as it:
        it.wait_raw()
        second = web("console", "web")
        assert second.rc == 6
        assert "the console of 'web' is busy" in second.err
        assert f"'qemu console web' (pid {it.process.pid}" in second.err
        console = web("show", "web", "-f", "json").json["console"]
        assert (console["use"], console["pid"]) == ("held", it.process.pid)
        it.process.kill()  # and nothing of it stays
        it.process.wait()
    assert web("console", "web", "--silence", "0.1s").rc == 0


def test_another_program_at_the_serial_port_is_named(web: QemuHome) -> None:
    path = web.paths.instance("web").serial_socket
    code = (
        "import socket, sys, time\n"
        "client = socket.socket(socket.AF_UNIX)\n"
        "client.connect(sys.argv[1])\n"
        "print(flush=True)\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen(
        ["python3", "-c", code, str(path)], stdout=subprocess.PIPE
    ) as other:
        try:
            assert other.stdout
            other.stdout.readline()
            end = time.monotonic() + TIMEOUT_S
            while (result := web("console", "web")).rc != 6:
                assert time.monotonic() < end, result.err
            assert f"(pid {other.pid})" in result.err
        finally:
            other.kill()


def test_without_a_terminal_it_ends_with_its_input(web: QemuHome) -> None:
    with open(os.devnull) as nothing:  # noqa: PTH123  no Path
        done = subprocess.run(
            [web.executable, "console", "web", "--silence", "0.2s"],
            stdin=nothing,
            capture_output=True,
            env=web.environment,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_no_console_to_attach_to(web: QemuHome) -> None:
    assert web("console", "wbe").rc == 3
    assert web("console", "web", "--silence", "soon").rc == 2
    assert web("console", "web", "--replay", "-1").rc == 2
    pid = pid_of(web)
    os.kill(pid, signal.SIGSTOP)
    try:
        stopped = web("console", "web")
        assert stopped.rc == 4
        assert f"kill -CONT {pid}" in stopped.err
    finally:
        os.kill(pid, signal.SIGCONT)
    assert web("kill", "web").rc == 0
    ended = web("console", "web")
    assert ended.rc == 4
    assert "qemu start --console web" in ended.err
