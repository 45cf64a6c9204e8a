"""Who serves or holds an export ends: it is taken down, nothing else."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from qemu_cli.proc import ProcFS
from tests.functional.exports.clients import read, run
from tests.functional.killing import kill_in
from tests.functional.until import until

if TYPE_CHECKING:
    from .conftest import Machine


LISTEN = ("--listen", "127.0.0.1:0")


def left(vm: "Machine") -> list[str]:
    """What an export has left anywhere: QEMU, files, daemons."""
    paths = vm.paths
    found = [*vm.traces()]
    for pattern in ("nbd-*", "qmp-e*"):
        found += [file.name for file in paths.runtime.glob(pattern)]
    for process in ProcFS().processes(re.compile("qemu-storage-daemon")):
        if any(str(paths.exports) in word for word in process.argv):
            found.append(str(process.pid))
    if paths.journal.exists():
        found.append(paths.journal.name)
    return found


@pytest.mark.parametrize("more", [(), LISTEN], ids=["here", "listen"])
@pytest.mark.parametrize("when", ["noted", "alone-noted"])
def test_killed_between_every_two_steps_of_an_export(
    vm: "Machine", when: str, more: tuple[str, ...]
) -> None:
    """Its guardian takes everything down, without anybody's doing.

    When that was killed as well the next command does.
    """
    vm.as_guest("write -P 4 0 1M")
    words = ("nbd-export", "vm", "disk0", "--scratch", *more)
    steps = 0
    while kill_in(vm.home, when, steps, *words):
        if when != "noted":
            assert left(vm)
            again = vm.stop()
            assert again.rc == 3
            assert "'nbd-export vm' had been interrupted" in again.err
            assert left(vm) == [], steps
        until(lambda: left(vm) == [], "something is left")
        assert vm.status() == "running"
        assert vm.holds(4, "0 1M"), steps
        steps += 1
    assert steps > 12
    assert vm.stop().rc == 0
    # All is done, and nobody has been told.
    assert kill_in(vm.home, when.replace("noted", "done"), steps - 1, *words)
    if when == "noted":
        until(lambda: left(vm) == [], "something is left")
    else:
        assert "had been interrupted: took it back" in vm.stop().err
    assert left(vm) == []


@pytest.mark.parametrize("more", [(), LISTEN], ids=["here", "listen"])
def test_killed_between_every_two_steps_of_a_stop(
    vm: "Machine", more: tuple[str, ...]
) -> None:
    """The next command finishes it."""
    vm.as_guest("write -P 4 0 1M")
    vm.export("disk0", "--scratch", *more)
    steps = 0
    while kill_in(vm.home, "noted", steps, "export", "stop", "vm"):
        assert vm.status() == "running"
        vm.as_guest("write -P 4 0 1M")
        (uri,) = vm.export(
            *("disk0", "--scratch", "--name", f"after{steps}", *more)
        )
        assert read(uri, 4, "0 1M")
        steps += 1
    assert steps > 7
    vm.stop()
    assert left(vm) == []


def test_qemu_is_killed(vm: "Machine") -> None:
    """The next start removes what is left."""
    vm.export()
    os.kill(int(vm.paths.pid_file.read_text()), signal.SIGKILL)
    while vm.ok("list", "vm", "-f", "json").json[0]["state"] == "running":
        time.sleep(0.05)
    assert vm.exports() == []
    assert list(vm.paths.directory.glob("export-*"))
    vm.ok("start", "vm")
    assert vm.traces() == []
    assert run(
        "qemu-img", "check", "-U", vm.paths.directory / "disk0.qcow2"
    ).returncode in (0, 3)


def test_qemu_ends(machine: Callable[..., "Machine"]) -> None:
    vm = machine("ends")
    vm.export("--scratch")
    assert list(vm.paths.directory.glob("export-*"))
    vm.ok("quit", "ends")
    assert not list(vm.paths.directory.glob("export-*"))
    assert not list(vm.paths.exports.iterdir())
    vm.ok("start", "ends")
    vm.export()
    vm.ok("quit", "ends")
    vm.ok("delete", "ends", "--yes")


@pytest.mark.parametrize("number", ["INT", "TERM", "HUP", "KILL"])
def test_the_foreground(vm: "Machine", number: str) -> None:
    served = subprocess.Popen(
        [vm.home.executable, "nbd-export", "vm", "disk0", "--foreground"],
        env=vm.home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert served.stdout is not None
        uri = served.stdout.readline().strip()
        assert read(uri, 0, "7M 64k")
        assert [row["name"] for row in vm.exports()] == ["disk0"]
        served.send_signal(getattr(signal, f"SIG{number}"))
        served.communicate(timeout=60)
    finally:
        served.kill()
        served.communicate()
    assert served.returncode == (-9 if number == "KILL" else 0)
    until(lambda: vm.traces() == [])
    assert vm.exports() == []


def test_the_foreground_ends_with_what_it_holds(vm: "Machine") -> None:
    for words, code, text in (
        (("export", "stop", "vm"), 0, ""),
        (("kill", "vm"), 1, "has ended"),
    ):
        served = subprocess.Popen(
            [vm.home.executable, "nbd-export", "vm", "disk0", "--foreground"],
            env=vm.home.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert served.stdout is not None
            assert served.stdout.readline()
            vm.ok(*words)
            _, said = served.communicate(timeout=60)
        finally:
            served.kill()
            served.communicate()
        assert served.returncode == code, said
        assert text in said
    vm.ok("start", "vm")
