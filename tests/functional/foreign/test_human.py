"""A VM that has only a human monitor (HMP): what that is enough for."""

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable

import pytest

from qemu_cli.testing.real_qemu import binary
from tests.functional.by_hand import Foreign, free_port
from tests.functional.strangers import BOARD, exists
from tests.functional.until import until

#: How such a monitor can be reached.
WAYS = ("unix", "relative", "chardev", "abstract", "tcp")


@pytest.fixture
def human(foreign: Foreign) -> Callable[..., str]:
    """Start one; returns what it is called by."""

    def start(way: str = "unix", *args: str) -> str:
        path = foreign.directory / "m.sock"
        port = free_port()
        words = {
            "unix": ("-monitor", f"unix:{path},server,nowait"),
            "relative": ("-monitor", "unix:m.sock,server=on,wait=off"),
            "chardev": (
                *("-mon", "chardev=c,mode=readline", "-chardev"),
                f"socket,id=c,path={path},server=on,wait=off",
            ),
            "abstract": (
                *("-mon", "chardev=c", "-chardev"),
                f"socket,id=c,path=m{os.getpid()},abstract=on,server=on"
                ",wait=off",
            ),
            "tcp": ("-monitor", f"tcp:127.0.0.1:{port},server,nowait"),
        }[way]
        pid = foreign.start(*BOARD, *args, *words, program=(binary(),))
        until(lambda: foreign.home("hmp", f"pid:{pid}", "help").rc == 0)
        return f"pid:{pid}"

    return start


def row(foreign: Foreign, ref: str) -> tuple[str, str | None]:
    shown = foreign.home("show", ref, "-f", "json").json
    return shown["state"], shown["run_state"]


@pytest.mark.parametrize("way", WAYS)
def test_what_works(
    foreign: Foreign, human: Callable[..., str], way: str
) -> None:
    ref, home = human(way), foreign.home

    def ok(*words: str) -> str:
        result = home(*words)
        assert result.rc == 0, (words, result.err)
        return result.out

    assert row(foreign, ref) == ("running", "running")
    assert ok("hmp", ref, "info", "status") == "VM status: running\n"
    ok("pause", ref)
    assert row(foreign, ref) == ("paused", "paused")
    paused = home("pause", ref)
    assert (paused.rc, "is paused already" in paused.err) == (4, True)
    asked = home("shutdown", ref, "--timeout", "1s")
    assert (asked.rc, "its guest can't hear us" in asked.err) == (4, True)
    ok("resume", ref)
    assert home("resume", ref).rc == 4
    ok("reset", ref)
    picture = foreign.directory / 'a "picture".png'
    assert ok("screenshot", ref, str(picture)) == f"{picture}\n"
    assert picture.read_bytes().startswith(b"\x89PNG")
    ok("send-key", ref, "ctrl-alt-f2", "esc")
    ok("type", ref, "root; ls -l", "--enter")
    assert row(foreign, ref) == ("running", "running")
    asked = home("shutdown", ref, "--timeout", "1s")
    assert asked.rc == 7, asked.err
    ok("quit", ref)
    until(lambda: not exists(int(ref.removeprefix("pid:"))))


def test_what_does_not_names_what_does(
    foreign: Foreign, human: Callable[..., str]
) -> None:
    ref = human()
    for words in (
        *(("qmp", ref, "query-status"), ("disk", "list", ref)),
        *(("snapshot", "list", ref), ("snapshot", "create", ref, "s1")),
        *(("nbd-export", ref, "--live"), ("job", "show", ref)),
        *(("reboot", ref, "--timeout", "1s"), ("disk", "info", ref, "d")),
        ("disk", "resize", ref, "d", "+1M"),
    ):
        refused = foreign.home(*words)
        assert refused.rc == 4, (words, refused)
        assert "has no QMP monitor, only HMP at" in refused.err, words
        assert "these work: show, pause, resume" in refused.err, words
    assert row(foreign, ref) == ("running", "running")


def test_what_it_refuses(foreign: Foreign, human: Callable[..., str]) -> None:
    ref = human()
    for words, told in (
        (("hmp", ref, "bogus"), "unknown command"),
        (("send-key", ref, "nix"), "invalid parameter: nix"),
        (("screenshot", ref, "/nix/x.png"), "there is no directory"),
    ):
        refused = foreign.home(*words)
        assert refused.rc in (2, 5), (words, refused)
        assert told in refused.err, words
    split = foreign.home("hmp", ref, "info status\nquit")
    assert split.rc == 2
    assert row(foreign, ref) == ("running", "running")


def test_a_list_does_not_ask_it(
    foreign: Foreign, human: Callable[..., str]
) -> None:
    ref = human()
    foreign.home("pause", ref)
    listed = foreign.row(int(ref.removeprefix("pid:")))
    assert (listed["monitor"], listed["run_state"]) == ("hmp", None)
    assert listed["state"] == "running"


def test_one_that_is_held(foreign: Foreign, human: Callable[..., str]) -> None:
    ref = human()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(foreign.directory / "m.sock"))
        until(lambda: b"(qemu)" in client.recv(1000))
        pid = int(ref.removeprefix("pid:"))
        assert foreign.row(pid)["monitor"] == "held"
        for words in (("pause", ref), ("hmp", ref, "help"), ("quit", ref)):
            refused = foreign.home("-c", "lock.timeout=1s", *words)
            assert refused.rc == 6, (words, refused)
            assert f"(pid {os.getpid()})" in refused.err
        shown = foreign.home("-c", "lock.timeout=1s", "show", ref)
        assert f"(pid {os.getpid()})" in shown.out
    until(lambda: foreign.home("pause", ref).rc == 0)


def test_one_that_is_stopped_is_not_asked(
    foreign: Foreign, human: Callable[..., str]
) -> None:
    ref = human()
    pid = int(ref.removeprefix("pid:"))
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    refused = foreign.home("pause", ref)
    assert refused.rc == 4
    assert "SIGSTOP" in refused.err
    assert time.monotonic() - begun < 30
    os.kill(pid, signal.SIGCONT)
    until(lambda: foreign.home("pause", ref).rc == 0)


def test_one_that_never_prompts(foreign: Foreign) -> None:
    """What listens takes us, and says nothing."""
    path = foreign.directory / "mute"
    fake = foreign.directory / "fake.py"
    fake.write_text(MUTE)
    program = foreign.directory / "qemu-system-x86_64"
    shutil.copy(os.path.realpath(sys.executable), program)
    pid = foreign.start(
        *("-D", str(path), "-monitor", f"unix:{path},server,nowait"),
        program=(str(program), str(fake)),
        ready=path,
        env={**os.environ, "PYTHONHOME": sys.base_prefix},
    )
    begun = time.monotonic()
    refused = foreign.home(
        *("-c", "connect.timeout=1s", "hmp", f"pid:{pid}", "info", "status")
    )
    assert refused.rc == 7, refused
    assert "did not answer in 1 s" in refused.err
    assert time.monotonic() - begun < 30


MUTE = """
import socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[2])
server.listen(5)
kept = []
while True:
    kept.append(server.accept())
"""
