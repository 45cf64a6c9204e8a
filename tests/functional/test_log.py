"""qemu log: the history, the guest's words, QEMU's words."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest

from qemu_cli.testing.home import QemuHome

TIMEOUT_S = 60


@pytest.fixture
def web(qemu_home: QemuHome) -> QemuHome:
    """A VM without a guest: it starts in no time."""
    created = qemu_home("create", "web", "--accel", "tcg", "--memory", "64M")
    assert created.rc == 0, created.err
    return qemu_home


def log(web: QemuHome, *options: str) -> list[dict[str, Any]]:
    result = web("log", "web", "-f", "json", *options)
    assert result.rc == 0, result.err
    return result.json


@contextmanager
def following(
    web: QemuHome, *options: str
) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [web.executable, "log", "web", "--follow", *options],
        stdout=subprocess.PIPE,
        env=web.environment,
        text=True,
    ) as follower:
        try:
            yield follower
        finally:
            follower.kill()


def on_terminal(
    web: QemuHome, *words: str, rows: int = 24, **environment: str
) -> str:
    """What a person sees, to the end."""
    child = pexpect.spawn(
        str(web.executable),
        list(words),
        env={**web.environment, "LINES": str(rows), **environment},
        timeout=TIMEOUT_S,
        encoding="utf-8",
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    return str(child.before)


def test_what_was_done_newest_first(web: QemuHome) -> None:
    assert web("start", "web").rc == 0
    assert web("quit", "web").rc == 0
    assert web("start", "web").rc == 0
    assert web("kill", "web").rc == 0
    entries = log(web)
    assert [(e["action"], e["outcome"]) for e in entries] == [
        ("exit", "killed"),
        ("start", "ok"),
        ("exit", "host-qmp-quit"),
        ("start", "ok"),
        ("create", "ok"),
    ]
    times = [entry["time"] for entry in entries]
    assert times == sorted(times, reverse=True)
    assert times[0] == pytest.approx(time.time(), abs=300)
    assert entries[0]["command"] == "qemu kill web"
    assert entries[0]["details"]["ran_s"] >= 0
    assert entries[4]["command"].startswith("qemu create web")
    assert len(log(web, "-n", "2")) == 2
    assert log(web, "-n", "0") == []
    assert web("start", "w[e]b", "--state", "stopped").rc == 0
    assert web("kill", "web").rc == 0
    pasted = log(web, "-n", "2")[1]["command"]
    assert pasted == "qemu start 'w[e]b' --state stopped"
    table = web("log", "web", "-n", "1").out.splitlines()
    assert len(table) == 2
    assert "killed after" in table[1]


def test_a_start_that_failed_is_there(web: QemuHome) -> None:
    definition = web.paths.instance("web").definition
    text = definition.read_text()
    definition.write_text('qemu_args = ["-nonsense"]\n' + text)
    began = time.monotonic()
    assert web("start", "web").rc == 5
    assert time.monotonic() - began < 25  # not start.timeout: it has ended
    newest = log(web)[0]
    assert (newest["action"], newest["outcome"]) == ("start", "failed")
    assert "-nonsense" in newest["details"]["error"]
    definition.write_text(text)
    assert web("start", "web").rc == 0
    assert web("kill", "web").rc == 0
    # The failed start was no run: there is one end for one start.
    assert [entry["action"] for entry in log(web)] == [
        *("exit", "start", "start", "create")
    ]


def test_a_crash_that_nobody_has_noted_yet(web: QemuHome) -> None:
    assert web("start", "web").rc == 0
    pid = log(web)[0]["details"]["pid"]
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + TIMEOUT_S
    while (newest := log(web)[0])["action"] != "exit":
        assert time.monotonic() < end
    assert newest["outcome"] == "crashed"
    assert newest["user"] is None
    history = web.paths.instance("web").history
    assert '"exit"' not in history.read_text()  # looking writes nothing
    assert web("start", "web").rc == 0
    noted = log(web)[1]
    assert (noted["action"], noted["outcome"]) == ("exit", "crashed")
    assert noted["command"] is None  # 'qemu start' saw it, it was not it
    assert web("kill", "web").rc == 0


def test_following_the_history(web: QemuHome) -> None:
    with following(web, "-f", "ndjson") as follower:
        assert '"create"' in follower.stdout.readline()
        assert web("start", "web").rc == 0
        assert '"start"' in follower.stdout.readline()
        assert web("kill", "web").rc == 0
        assert '"killed"' in follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        assert follower.wait(TIMEOUT_S) == 130
    with following(web, "-n", "1") as follower:
        assert "killed" in follower.stdout.readline()
        assert web("delete", "web", "--yes").rc == 0
        assert follower.wait(TIMEOUT_S) == 0  # nothing more can come


def test_following_goes_on_when_the_log_is_put_aside(web: QemuHome) -> None:
    path = web.paths.instance("web").serial_log
    with following(web, "--serial") as follower:
        path.write_text("one\n")
        assert follower.stdout.readline() == "one\n"
        with path.open("a") as old:
            path.rename(path.with_name("serial.log.1"))
            old.write("still the old one\n")
            old.flush()
            assert follower.stdout.readline() == "still the old one\n"
        path.write_text("new\n")
        assert follower.stdout.readline() == "new\n"
        os.truncate(path, 0)
        time.sleep(1)
        with path.open("a") as stream:
            stream.write("x\n")
        assert follower.stdout.readline() == "x\n"


NASTY = b"\x1b[2Jred \x1b[31mtext\x1b[0m\x1b]0;title\x07\r\nbell\x07 \xff\r\n"


def test_a_pipe_gets_what_the_guest_wrote(web: QemuHome) -> None:
    path = web.paths.instance("web").serial_log
    path.with_name("serial.log.1").write_bytes(b"older\n")
    path.write_bytes(NASTY)
    said = subprocess.check_output(
        [web.executable, "log", "web", "--serial"], env=web.environment
    )
    assert said == b"older\n" + NASTY
    said = subprocess.check_output(
        [web.executable, "log", "web", "--serial", "-n", "1"],
        env=web.environment,
    )
    assert said == NASTY.splitlines(keepends=True)[1]


def test_a_terminal_gets_harmless_text(web: QemuHome) -> None:
    web.paths.instance("web").serial_log.write_bytes(NASTY)
    seen = on_terminal(web, "log", "web", "--serial", PAGER="cat")
    assert seen == "red text\r\nbell\\x07 \ufffd\r\n"


def test_a_terminal_has_a_pager(web: QemuHome, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\nsed 's/^/paged: /'\n")
    pager.chmod(0o755)
    seen = on_terminal(web, "log", "web", PAGER=str(pager), rows=1)
    assert "paged: TIME" in seen
    seen = on_terminal(web, "log", "web", PAGER=str(pager))
    assert "paged" not in seen
    words = ("-c", f"core.pager={pager} -x", "log", "web")
    seen = on_terminal(web, *words, PAGER="cat", rows=1)
    assert "paged: TIME" in seen
    assert "paged" not in web("log", "web").out
    quits = tmp_path / "quits"
    quits.write_text("#!/bin/sh\necho seen enough\n")
    quits.chmod(0o755)
    web.paths.instance("web").serial_log.write_bytes(b"much\n" * 200_000)
    seen = on_terminal(web, "log", "web", "--serial", PAGER=str(quits))
    assert seen == "seen enough\r\n"


def test_what_qemu_said(web: QemuHome) -> None:
    assert web("start", "web").rc == 0
    pid = log(web)[0]["details"]["pid"]
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + TIMEOUT_S
    while not (said := web("log", "web", "--qemu").out):
        assert time.monotonic() < end
    assert f"terminating on signal 15 from pid {os.getpid()}" in said
    ended = web.paths.instance("web").events_out.stat().st_mtime
    time.sleep(1)
    assert web("start", "web").rc == 0
    ending = log(web)[1]
    assert ending["outcome"] == "host-signal"
    assert ending["time"] < ended + 1  # when it was, not when it was seen


def test_bad_input(web: QemuHome) -> None:
    assert web("log", "wbe").rc == 3
    assert web("log", "web", "-n", "-1").rc == 2
    assert web("log", "web", "--serial", "--qemu").rc == 2
    assert web("log", "web", "--serial", "-f", "json").rc == 2
    assert web("log", "web", "--follow", "-f", "json").rc == 2
    never = web("log", "web", "--serial")
    assert (never.rc, never.out) == (0, "")
    assert "never started" in never.err
