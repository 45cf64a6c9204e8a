"""snapshot revert goes wrong: nothing is lost, and no guest runs astray."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qemu_cli.storage import holders
from tests.functional.snapshots.checks import kill_in, moments, small_disk

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.snapshots.conftest import Machine


#: Runs ``qemu``, and once a program of ours, just before a step is begun.
MEDDLED = """
import subprocess, sys
from qemu_cli.app import main
from qemu_cli.steps.runner import Journal

step, argv, noted = sys.argv[1], sys.argv[2:5], Journal.step

def begin(self, plan):
    self.plan = plan
    begun(self, plan)

def note(self, index):
    noted(self, index)
    if type(self.plan.steps[index]).__name__ == step and argv:
        subprocess.run(argv, check=True)
        argv.clear()

begun, Journal.begin, Journal.step = Journal.begin, begin, note
sys.exit(main(sys.argv[5:]))
"""


def meddled(
    vm: "Machine", step: str, script: str, *words: str
) -> "subprocess.CompletedProcess[str]":
    """Run ``qemu``; a shell script is run when a step is about to begin."""
    return subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            MEDDLED,
            step,
            "sh",
            "-c",
            script,
            *words,
        ],
        env=vm.home.environment,
        capture_output=True,
        text=True,
        timeout=180,
    )


def revert(vm: "Machine", *words: str) -> tuple[str, ...]:
    return ("snapshot", "revert", vm.name, *words, "--yes")


@contextlib.contextmanager
def overheard(vm: "Machine") -> Iterator[list[str]]:
    """All events of the QEMU that runs now, to its end."""
    heard: list[str] = []
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(vm.paths.follower_sockets[1]))
    stream = client.makefile("rw")
    stream.write('{"execute": "qmp_capabilities"}\n')
    stream.flush()

    def listen() -> None:
        with contextlib.suppress(OSError):
            for line in stream:
                message: dict[str, Any] = json.loads(line)
                if "event" in message:
                    heard.append(message["event"])

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        client.shutdown(socket.SHUT_RDWR)
        thread.join(30)
        stream.close()
        client.close()


def files(vm: "Machine") -> dict[str, bytes]:
    """What a revert that is refused must not have touched."""
    found = [*vm.paths.directory.glob("*.qcow2"), vm.paths.definition]
    found += vm.paths.snapshots.iterdir()
    return {file.name: file.read_bytes() for file in found}


def test_what_fails_half_way_never_runs_on(
    machine: "Callable[..., Machine]",
) -> None:
    """A device without an id is gone: nobody sees that beforehand."""
    device = "virtio-rng-pci,rng=rng0,bus=rp5"
    vm = machine(
        *("--disk", "8M", "--disk", "8M,bus=scsi"),
        *("--qemu-arg=-device", f"--qemu-arg={device}"),
    )
    vm.ok("start", vm.name)
    vm.write(1)
    vm.snapshot("s1")
    vm.write(2)
    vm.qmp("device_del", id="/machine/peripheral-anon/device[0]")
    vm.qmp("system_reset")
    pid = vm.row()["pid"]
    with overheard(vm) as heard:
        done = vm.home(*revert(vm, "s1"))
    assert done.rc == 0, done.err
    assert "could not load it, and has ended" in done.err
    assert "a new one goes on" in done.err
    assert vm.row()["pid"] != pid
    # The old one was stopped for the load, and has ended so.
    assert "STOP" in heard
    assert "RESUME" not in heard[heard.index("STOP") :]
    assert vm.state == "running"
    assert vm.events().count("RESUME") == 1
    assert vm.holds(1)
    assert vm.current == "s1"


def test_no_qemu_can_load_it(vm: "Machine") -> None:
    """Another program made it, with a machine that nobody wrote down."""
    vm.ok("start", vm.name)
    vm.write(1)
    vm.qmp("human-monitor-command", **{"command-line": "savevm by-hand"})
    vm.write(2)
    vm.ok("set", vm.name, "machine.memory_mib=96")
    vm.ok("quit", vm.name)
    vm.ok("start", vm.name)
    with overheard(vm) as heard:
        failed = vm.home(*revert(vm, "by-hand"))
    assert failed.rc == 5, failed.err
    assert "the RAM of 'by-hand' can't be loaded" in failed.err
    assert "Size mismatch: pc.ram" in failed.err
    assert "'qemu start m0' boots from them" in failed.err
    assert "RESUME" not in heard
    assert "RESUME" not in vm.events()
    assert vm.state == "stopped"
    assert not vm.paths.journal.exists()
    assert vm.holds(1)
    vm.ok("set", vm.name, "machine.memory_mib=64")
    vm.revert("by-hand")
    assert vm.state == "running"
    assert vm.holds(1)


def test_what_is_refused_beforehand_changes_nothing(vm: "Machine") -> None:
    """The tag vanishes in the last moment: the guest runs on as before."""
    vm.ok("start", vm.name)
    vm.write(1)
    vm.snapshot("s1")
    vm.snapshot("s2")
    vm.write(2)
    pid = vm.row()["pid"]
    script = (
        f"{vm.home.executable} qmp {vm.name} human-monitor-command "
        "command-line='delvm s1'"
    )
    failed = meddled(vm, "LoadSnapshot", script, *revert(vm, "s1"))
    assert failed.returncode == 5, failed.stderr
    assert "does not exist in one or more devices" in failed.stderr
    assert vm.state == "running"
    assert vm.row()["pid"] == pid
    assert vm.holds(2)
    assert vm.current == "s2"
    again = vm.home(*revert(vm, "s1"))
    assert again.rc == 4
    assert "does not have the snapshot 's1' any more" in again.err
    assert vm.state == "running"


@pytest.mark.parametrize("wait_ms", [0, 5, 10, 20, 40])
def test_qemu_dies_in_the_middle(vm: "Machine", wait_ms: int) -> None:
    vm.ok("start", vm.name)
    vm.write(1, where="0 8M")
    vm.snapshot("s1")
    vm.write(2, where="0 8M")
    script = (
        f"(sleep {wait_ms / 1000}; kill -9 $(cat {vm.paths.pid_file})) "
        ">/dev/null 2>&1 &"
    )
    done = meddled(vm, "LoadSnapshot", script, *revert(vm, "s1"))
    # However far it was: it is finished.
    assert done.returncode == 0, done.stderr
    assert not vm.paths.journal.exists()
    if not vm.alive:  # it was killed when all was done
        assert vm.holds(1, where="0 8M")
        vm.revert("s1")
    assert vm.state == "running"
    assert vm.holds(1, where="0 8M")
    vm.ok("quit", vm.name)
    for file in vm.images.values():
        done = subprocess.run(
            ["qemu-img", "check", "-q", "-f", "qcow2", file],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, 3), done.stdout  # 3: leaks, no more


def furnish(vm: "Machine") -> None:
    """Take snapshots of all kinds; it runs afterwards."""
    vm.write(1)
    vm.snapshot("inside")
    vm.write(2)
    vm.snapshot("below", "--external")
    vm.ok("start", vm.name)
    vm.write(3)
    vm.snapshot("ram")
    vm.write(4)
    vm.snapshot("ram-below", "--external", "--ram")
    vm.write(5)
    vm.snapshot("today")


#: Of each snapshot what it holds, and whether the guest runs then.
HELD = {
    "inside": (1, False),
    "below": (2, False),
    "ram": (3, True),
    "ram-below": (4, True),
    "today": (5, True),
}


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("today", "today"),  # the same QEMU
        ("today", "ram"),  # copies, a new QEMU
        ("today", "ram-below"),  # overlays, a new QEMU
        ("ram-below", "inside"),  # copies, layers that go; no QEMU
        ("inside", "below"),  # overlays; from no QEMU to none
        ("inside", "today"),  # layers that go; in place, a new QEMU
    ],
)
def test_killed_between_two_steps(vm: "Machine", start: str, end: str) -> None:
    """All or nothing; the next command repairs it and says so."""
    furnish(vm)
    pattern, _ = HELD[end]
    count = 0
    for when, index in moments():
        vm.revert(start)
        vm.write(9)
        before = vm.files
        if not kill_in(vm, when, index, *revert(vm, end)):
            break
        count += 1
        repaired = vm.home("snapshot", "rename", vm.name, end, "other")
        assert repaired.rc == 0, repaired.err
        assert "had been interrupted" in repaired.err
        back = "other" if end == start else vm.current
        vm.ok("snapshot", "rename", vm.name, "other", end)
        assert not vm.paths.journal.exists()
        if "took it back" in repaired.err:
            assert back == ("other" if end == start else start)
            assert vm.holds(9), (when, index)
            assert vm.files == before, (when, index)
        else:
            assert back == "other"
            assert vm.holds(pattern), (when, index)
    assert count >= 4
    assert vm.holds(pattern)
    for name, (content, runs) in HELD.items():
        vm.revert(name)
        assert vm.holds(content), name
        assert vm.alive == runs, name


@contextlib.contextmanager
def holding(image: Path) -> Iterator[int]:
    """Another program has an image open for writing; its pid."""
    process = subprocess.Popen(
        ["qemu-io", "-f", "qcow2", image],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while not holders.holders(image):
            assert time.monotonic() < end
            time.sleep(0.05)
        yield process.pid
    finally:
        process.kill()
        process.wait()
        assert process.stdin
        process.stdin.close()


def test_somebody_is_at_the_disks(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("s1")
    vm.write(2)
    before = files(vm)
    with holding(vm.images["disk1"]) as pid:
        refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 6
    assert f"disk1.qcow2 is in use by qemu-io (pid {pid})" in refused.err
    assert files(vm) == before
    vm.ok("nbd-export", vm.name)
    refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 4
    assert f"'{vm.name}' is being exported" in refused.err
    vm.ok("export", "stop", vm.name)
    vm.ok("nbd-export", vm.name, "--snapshot", "s1")
    refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 4
    assert "the snapshot 's1'" in refused.err
    assert "is being exported" in refused.err
    vm.ok("export", "stop", vm.name)
    assert files(vm) == before
    vm.ok("start", vm.name)
    vm.ok("nbd-export", vm.name, "--live")
    refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 6
    assert "is being exported" in refused.err
    vm.ok("export", "stop", vm.name)
    vm.qmp("drive-backup", **_slow_backup(vm))
    refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 6
    assert "a job goes on" in refused.err
    assert "night" in refused.err
    vm.qmp("job-cancel", id="night")
    vm.ok("save", vm.name)
    refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 4
    assert "has a saved state" in refused.err
    vm.ok("start", vm.name)
    vm.revert("s1")
    assert vm.holds(1)


def _slow_backup(vm: "Machine") -> dict[str, Any]:
    target = vm.paths.directory / "backup.img"
    return {
        "job-id": "night",
        "device": "disk1",
        "target": str(target),
        "sync": "full",
        "speed": 1,
        "format": "raw",
    }


def test_what_is_missing_is_named(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("s1")
    vm.snapshot("e1", "--external")
    vm.ok("start", vm.name)
    vm.snapshot("e2", "--external", "--ram")
    vm.ok("quit", vm.name)
    below = vm.paths.directory / "disk1.qcow2"
    aside = below.rename(below.with_suffix(".aside"))
    for name in ("s1", "e1", "e2"):
        missing = vm.home(*revert(vm, name))
        assert missing.rc == 3, missing.err
        assert f"lacks a file: {below}" in missing.err
    aside.rename(below)
    ram = vm.paths.snapshot_ram("e2")
    aside = ram.rename(ram.with_suffix(".aside"))
    missing = vm.home(*revert(vm, "e2"))
    assert missing.rc == 3
    assert f"the RAM of the snapshot 'e2' is missing: {ram}" in missing.err
    assert vm.revert("e2", "--no-ram")["state"] == "stopped"
    aside.rename(ram)
    assert vm.revert("e2")["state"] == "running"
    missing = vm.home(*revert(vm, "e11"))
    assert missing.rc == 3
    assert "there is no snapshot 'e11'" in missing.err
    assert "did you mean 'e1'?" in missing.err
    assert vm.state == "running"


def test_a_ram_that_does_not_fit_is_not_loaded(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.write(1)
    vm.snapshot("s1")
    vm.snapshot("e1", "--external", "--ram")
    vm.write(2)
    pid = vm.row()["pid"]
    tree = vm.paths.snapshot_tree.read_text()
    newer = json.loads(tree)
    for each in newer["snapshots"]:
        each["memory"]["version"] = [99, 1, 2]
    vm.paths.snapshot_tree.write_text(json.dumps(newer))
    for name in ("s1", "e1"):
        refused = vm.home(*revert(vm, name))
        assert refused.rc == 4
        assert "it was taken by QEMU 99.1.2, and this is" in refused.err
        assert "--no-ram" in refused.err
    vm.paths.snapshot_tree.write_text(tree)
    assert vm.row()["pid"] == pid
    assert vm.state == "running"
    vm.ok("quit", vm.name)
    for name in ("s1", "e1"):
        kept = vm.paths.snapshot_definition(name)
        text = kept.read_text()
        kept.write_text(text.replace("memory_mib = 64", "memory_mib = 96"))
        refused = vm.home(*revert(vm, name))
        kept.write_text(text)
        assert refused.rc == 4
        assert "machine would be another (no more size=64M" in refused.err
    assert vm.holds(2)
    vm.ok("start", vm.name)
    # A file that is damaged: found out by QEMU, and taken back.
    ram = vm.paths.snapshot_ram("e1")
    content = ram.read_bytes()
    ram.write_bytes(content[: len(content) // 2])
    before = vm.files
    failed = vm.home(*revert(vm, "e1"))
    assert failed.rc == 5
    assert "the disks are as they were before" in failed.err
    assert vm.files == before
    assert vm.state == "stopped"
    assert vm.holds(2)
    ram.write_bytes(content)
    vm.revert("e1")
    assert vm.holds(1)


def test_no_room_for_a_copy(vm: "Machine") -> None:
    vm.write(1, where="0 2M")
    vm.snapshot("s1")
    vm.write(2, where="0 2M")
    vm.snapshot("e1", "--external")
    vm.write(3)
    with small_disk(vm, "32M"):
        before = files(vm)
        filler = vm.paths.directory / "filler"
        fill = f"dd if=/dev/zero of={filler} bs=64k 2>/dev/null; true"
        failed = meddled(vm, "Tool", fill, *revert(vm, "s1"))
        assert failed.returncode == 1
        assert "No space left on device" in failed.stderr
        assert files(vm) == before
        assert not vm.paths.journal.exists()
        refused = vm.home(*revert(vm, "s1"))
        assert refused.rc == 1
        assert "no room to go back: " in refused.err
        assert "have to be copied, and " in refused.err
        assert files(vm) == before
        assert vm.holds(3)
        filler.unlink()
        vm.revert("s1")
        assert vm.holds(1, where="0 2M")
        vm.revert("e1")
        assert vm.holds(2, where="0 2M")


def test_a_directory_that_can_not_be_written(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("s1")
    vm.snapshot("e1", "--external")
    vm.write(2)
    with small_disk(vm, "16M"):
        before = files(vm)
        mount = ["mount", "-o", "remount,ro", vm.paths.directory]
        subprocess.run(mount, check=True)
        for name in ("s1", "e1"):
            failed = vm.home(*revert(vm, name))
            assert failed.rc == 1
            assert "Read-only file system" in failed.err
        assert files(vm) == before
        mount[2] = "remount,rw"
        subprocess.run(mount, check=True)
        vm.revert("s1")
        assert vm.holds(1)
