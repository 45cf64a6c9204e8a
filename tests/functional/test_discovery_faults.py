"""Discovery when what is found misbehaves, is a stranger, or is a lie."""

import os
import shlex
import shutil
import signal
import socket
import sys
import time

import pytest

from qemu_cli.proc import ProcFS
from qemu_cli.testing.real_qemu import binary
from tests.functional.by_hand import FAKE, Foreign, argv_of, qmp
from tests.functional.until import until


@pytest.fixture
def fake_program(foreign: Foreign) -> tuple[str, ...]:
    """A program that is called as QEMU is, and is Python."""
    program = foreign.directory / "qemu-system-x86_64"
    shutil.copy(os.path.realpath(sys.executable), program)
    script = foreign.directory / "fake.py"
    script.write_text(FAKE)
    return (str(program), str(script))


def test_a_stopped_one_is_not_asked(foreign: Foreign) -> None:
    path = foreign.directory / "q.sock"
    pid = foreign.start(*qmp(path), ready=path)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: ProcFS().process(pid).stopped)
    row = foreign.row(pid)
    assert row["state"] == "unresponsive"
    assert "SIGSTOP" in row["reason"]
    assert ProcFS().monitor_use(pid, str(path)) == (False, 0)
    assert foreign.home("pause", f"pid:{pid}").rc == 4
    os.kill(pid, signal.SIGCONT)
    assert foreign.row(pid)["state"] == "running"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("mute", "its monitor does not greet"),
        ("silent", "greets, then silent"),
        ("garbage", "it said"),
        ("dies", "it closed the connection"),
        ("endless", "it talks without end"),
    ],
)
def test_a_monitor_that_misbehaves(
    foreign: Foreign, fake_program: tuple[str, ...], how: str, reason: str
) -> None:
    path = foreign.directory / "q.sock"
    pid = foreign.start(
        *("-D", how),
        *qmp(path),
        program=fake_program,
        ready=path,
        env={**os.environ, "PYTHONHOME": sys.base_prefix},
    )
    begun = time.monotonic()
    row = foreign.row(pid)
    assert time.monotonic() - begun < 30
    assert row["state"] == "unresponsive"
    assert row["monitor"] == "unreachable"
    assert reason in row["reason"]


def test_what_only_looks_like_qemu(foreign: Foreign) -> None:
    """Its argv names the socket of another program; nobody connects."""
    path = foreign.directory / "other"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(5)
        other.settimeout(0.1)
        sleeps = ("-c", "import time; time.sleep(1000)", *qmp(path))
        called = shlex.join(("qemu-system-x86_64", sys.executable, *sleeps))
        liar = foreign.start(program=("bash", "-c", f"exec -a {called}"))
        # Between two programs a process has no command line.
        until(lambda: argv_of(liar)[1:] == sleeps)
        assert foreign.home("list", f"pid:{liar}").rc == 3
        # One whose executable is called so, too, can't be told from QEMU.
        copy = foreign.directory / "qemu-system-x86_64"
        shutil.copy(os.path.realpath(sys.executable), copy)
        impostor = foreign.start(
            program=(str(copy), *sleeps),
            env={**os.environ, "PYTHONHOME": sys.base_prefix},
        )
        row = foreign.row(impostor)
        assert row["monitor"] == "unreachable"
        assert row["monitor_reason"] == f"it does not listen at {path}"
        with pytest.raises(TimeoutError):
            other.accept()


def test_a_monitor_whose_path_leads_elsewhere(foreign: Foreign) -> None:
    path = foreign.directory / "other"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(5)
        other.settimeout(0.1)
        thief = foreign.directory / "thief.sock"
        pid = foreign.start(*qmp(thief), ready=thief)
        thief.unlink()
        thief.symlink_to(path)
        row = foreign.row(pid)
        assert (row["state"], row["monitor"]) == ("running", "unreachable")
        assert foreign.home("pause", f"pid:{pid}").rc == 4
        with pytest.raises(TimeoutError):
            other.accept()


@pytest.mark.parametrize(
    ("how", "code", "why"),
    [
        ("mute", 7, "QEMU does not greet at"),
        ("silent", 7, "QEMU's main loop does not answer"),
        ("garbage", 1, "does not speak QMP"),
        ("dies", 4, "has ended"),
        ("endless", 1, "does not speak QMP"),
        ("huge", 1, "query-qmp-schema: the answer is longer than 64 MiB"),
    ],
)
def test_a_command_at_a_monitor_that_misbehaves(
    foreign: Foreign,
    fake_program: tuple[str, ...],
    how: str,
    code: int,
    why: str,
) -> None:
    path = foreign.directory / "q.sock"
    pid = foreign.start(
        *("-D", how),
        *qmp(path),
        program=fake_program,
        ready=path,
        env={**os.environ, "PYTHONHOME": sys.base_prefix},
    )
    home = foreign.home
    # The look that comes first ends one that dies when it is asked, and of
    # one that still sends the last answer nothing is known.
    if how not in ("dies", "huge"):
        refused = home("-c", "probe.timeout=300ms", "pause", f"pid:{pid}")
        assert refused.rc == 4
        assert f"'pid:{pid}' is unresponsive" in refused.err
        assert "qemu kill" in refused.err
    begun = time.monotonic()
    asked = home(
        *("-c", "connect.timeout=1s", "-c", "probe.timeout=300ms"),
        *("qmp", f"pid:{pid}", "query-status"),
    )
    assert time.monotonic() - begun < 30
    assert (asked.rc, asked.out) == (code, "")
    assert why in asked.err


def test_an_answer_of_100_mb(foreign: Foreign) -> None:
    """A real one; it is cut off, and QEMU serves the next client."""
    path = foreign.directory / "q.sock"
    machine = (binary(), "-machine", "q35", "-accel", "tcg", "-m", "64")
    pid = foreign.start(
        *("-S", "-display", "none", "-nodefaults"),
        *qmp(path),
        program=machine,
        ready=path,
    )
    # Seven characters a byte, and one memory address for each eight.
    refused = foreign.home("hmp", f"pid:{pid}", "xp /14000000xb 0")
    assert (refused.rc, refused.out) == (1, "")
    assert "the answer is longer than 64 MiB" in refused.err
    row = foreign.row(pid)
    assert (row["run_state"], row["monitor"]) == ("prelaunch", "free")
    assert foreign.home("qmp", f"pid:{pid}", "query-status").rc == 0
