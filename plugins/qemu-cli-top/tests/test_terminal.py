"""The installed program in a terminal of its own."""

import os
import signal
import sys
import termios

import pexpect
import pytest

TIMEOUT_S = 60


@pytest.fixture
def terminal(qemu_home):
    """``terminal(*words)`` runs ``qemu top`` in 80×24."""
    children = []

    def run(*words: str) -> pexpect.spawn:
        child = pexpect.spawn(
            sys.executable,
            ["-m", "qemu_cli", "top", *words],
            env={**qemu_home.environment, "TERM": "xterm-256color"},
            dimensions=(24, 80),
            timeout=TIMEOUT_S,
            encoding="utf-8",
        )
        children.append(child)
        return child

    yield run
    for child in children:
        child.close(force=True)


def test_it_shows_vms_and_quits(terminal, start):
    start("web")
    child = terminal("--interval", "500ms")
    child.expect("1 VM, 1 running")
    child.expect("web")
    child.expect(r"\d%")
    child.send("q")
    child.expect(r"\x1b\[\?1049l")  # the shell's screen is back
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_to_the_console_and_back(terminal, start):
    start("web")
    child = terminal()
    child.expect("1 VM, 1 running")
    child.send("c")
    child.expect("Ctrl-]")
    child.send("\x1d")
    child.expect("1 VM, 1 running")  # drawn anew
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_console_that_fails_says_why(terminal, start, qemu_home):
    start("web")
    child = terminal()
    child.expect("1 VM, 1 running")
    holder = pexpect.spawn(
        sys.executable,
        ["-m", "qemu_cli", "console", "web"],
        env=qemu_home.environment,
        timeout=TIMEOUT_S,
        encoding="utf-8",
    )
    holder.expect("Ctrl-]")
    child.send("c")
    child.expect("error: ")
    child.expect("Enter goes back")
    child.send("\r")
    child.expect("1 VM, 1 running")
    holder.close(force=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ended_by_a_signal_it_leaves_the_terminal_as_it_was(
    terminal, start, number
):
    start("web")
    child = terminal()
    before = termios.tcgetattr(child.child_fd)
    child.expect("1 VM, 1 running")
    assert termios.tcgetattr(child.child_fd) != before
    os.kill(child.pid, number)
    child.expect(r"\x1b\[\?1049l")
    child.wait()
    assert child.exitstatus == 128 + number


def test_a_wrong_name_is_told_on_the_shells_screen(terminal):
    child = terminal("nope")
    child.expect("there is no VM 'nope'")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3


def test_without_a_terminal(qemu_home):
    result = qemu_home("top")
    assert result.rc == 2
    assert "needs a terminal" in result.err
    assert "qemu stats --watch" in result.err
    assert result.out == ""


def test_a_wrong_interval(terminal):
    child = terminal("--interval", "1ms")
    child.expect("--interval must be from 0.5s")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2
