"""snapshot create --external, and QEMU is killed in the middle."""

import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.functional.snapshots.checks import TIMEOUT_S, consistent
from tests.functional.snapshots.reverting import meddled
from tests.functional.snapshots.taken import tree

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

MIB = 1 << 20


@pytest.mark.parametrize(
    ("step", "wait_ms"),
    [
        ("Tool", 0),
        ("AddNode", 0),
        ("PutOverlays", 0),
        ("PutOverlays", 3),
        ("PutOverlays", 10),
        ("WriteFile", 0),
    ],
)
def test_it_dies_while_overlays_are_put(
    vm: "Machine", step: str, wait_ms: int
) -> None:
    vm.ok("start", vm.name)
    vm.write(1)
    for disk in vm.images:
        vm.io("flush", disk)
    kill = f"kill -9 $(cat {vm.paths.pid_file})"
    script = f"(sleep {wait_ms / 1000}; {kill}) >/dev/null 2>&1 &"
    create = ("snapshot", "create", vm.name, "e1", "--external")
    done = meddled(vm, step, script if wait_ms else kill, *create)
    end = time.monotonic() + TIMEOUT_S
    while vm.alive:
        assert time.monotonic() < end
        time.sleep(0.01)
    taken = bool(tree(vm).snapshots)
    assert (done.returncode == 0) == taken, done.stderr
    assert not vm.paths.journal.exists()
    assert vm.holds(1)
    consistent(vm)
    vm.ok("start", vm.name)
    vm.write(2)
    vm.snapshot("e2", "--external")
    vm.write(3)
    vm.revert("e2")
    assert vm.holds(2)
    if taken:
        vm.revert("e1")
        assert vm.holds(1)


@pytest.mark.parametrize("both", [False, True], ids=["qemu", "both"])
def test_it_dies_while_ram_is_written_to_a_file(
    busy: "Machine", both: bool
) -> None:
    before = busy.files
    process = subprocess.Popen(
        [
            *(busy.home.executable, "snapshot", "create", busy.name, "e2"),
            *("--external", "--ram"),
        ],
        env=busy.home.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    ram = busy.paths.snapshot_ram("e2")
    end = time.monotonic() + TIMEOUT_S
    while not ram.exists() or ram.stat().st_size < 8 * MIB:
        assert time.monotonic() < end
        time.sleep(0.001)
    if both:
        process.send_signal(signal.SIGKILL)
    busy.kill()
    _, said = process.communicate(timeout=TIMEOUT_S)
    if both:
        repaired = busy.ok("set", busy.name, "config.lock.timeout=30s")
        assert "had been interrupted: took it back" in repaired.err
    else:
        # Whichever it notices first.
        assert process.returncode in (1, 4), said
        noticed = ("QEMU closed", "has ended", "no QEMU listens")
        assert any(each in said for each in noticed), said
    assert busy.state == "crashed"
    assert not ram.exists()
    assert busy.files == before
    assert [each.name for each in tree(busy).snapshots] == ["before"]
    assert not busy.paths.journal.exists()
    consistent(busy)
    # Nothing stands in the way of the next one.
    busy.ok("start", busy.name)
    assert busy.holds(2)
    busy.snapshot("e2", "--external", "--ram")
    busy.write(3)
    busy.revert("e2")
    assert busy.holds(2)
