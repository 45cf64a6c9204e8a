"""snapshot revert, and the program or QEMU is killed in the middle."""

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.functional.killing import kill_in, moments
from tests.functional.snapshots.reverting import meddled, revert

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine


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
        if not kill_in(vm.home, when, index, *revert(vm, end)):
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
