"""snapshot revert says what is going to be lost, and asks."""

import re
from typing import TYPE_CHECKING

import pytest

from tests.functional.snapshots.asked import asked
from tests.functional.snapshots.remembering import remember, remembers
from tests.functional.snapshots.reverting import files

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

#: Name, since when, how long ago, the size of the images.
QUESTION = re.compile(
    r"go back to '(\S+)' and lose all that 'm0' has changed since (.+) "
    r"\((\S+) ago; its images take (\S+ \S+)\)(.*)$"
)


def asks(vm: "Machine", name: str, *words: str) -> tuple[str, ...]:
    """Say no; nothing has changed.  What was asked."""
    before = files(vm)
    row = {key: vm.row()[key] for key in ("state", "pid")}
    rc, seen = asked(vm, "n", "snapshot", "revert", vm.name, name, *words)
    assert rc == 1, seen
    question, _, rest = seen.partition("n\r\n")
    found = QUESTION.fullmatch(question.splitlines()[-1])
    assert found, question
    assert "not confirmed" in rest
    assert files(vm) == before
    assert {key: vm.row()[key] for key in ("state", "pid")} == row
    assert found[1] == name
    return found.groups()[1:]


def test_of_a_stopped_vm(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("s1")
    vm.write(2, where="0 2M")
    since, ago, size, also = asks(vm, "s1")
    assert (since, also) == ("'s1'", "")
    assert ago.endswith("s")
    taken = sum(each.stat().st_blocks * 512 for each in vm.images.values())
    number, unit = size.split()
    assert unit == "MiB"
    assert float(number) == pytest.approx(taken / (1 << 20), abs=0.06)
    vm.snapshot("e2", "--external")
    assert asks(vm, "s1")[0] == "'e2'"
    assert asks(vm, "e2")[0] == "'e2'"
    vm.ok("snapshot", "delete", vm.name, "s1", "e2", "--yes")
    for file in vm.images.values():
        vm.ok("image", "check", file)
    assert vm.holds(2, where="0 2M")


def test_of_a_running_vm_in_the_same_qemu(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    remember(vm, 1)
    vm.write(1)
    vm.snapshot("s1")
    remember(vm, 2)
    vm.write(2)
    assert asks(vm, "s1")[3] == ", and its RAM"
    assert remembers(vm) == 2
    assert vm.holds(2)
    assert asks(vm, "s1", "--no-ram")[3] == ", and its RAM, and end its QEMU"
    rc, seen = asked(vm, "y", "snapshot", "revert", vm.name, "s1")
    assert rc == 0, seen
    assert "is back at 's1'; running, in the same QEMU" in seen
    assert remembers(vm) == 1
    assert vm.holds(1)


def test_of_a_running_vm_that_is_ended(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("off")
    vm.ok("start", vm.name)
    vm.write(2)
    assert asks(vm, "off")[3] == ", and its RAM, and end its QEMU"
    vm.snapshot("ram", "--external", "--ram")
    assert asks(vm, "ram")[3] == ", and its RAM, and end its QEMU"
    assert vm.state == "running"
    assert vm.holds(2)
    rc, seen = asked(vm, "yes", "snapshot", "revert", vm.name, "off")
    assert rc == 0, seen
    assert "'qemu start m0' boots it" in seen
    assert vm.state == "stopped"
    assert vm.holds(1)


def test_without_a_snapshot_below_it_is_since_the_vm_was_made(
    vm: "Machine",
) -> None:
    """The one that today stood on is gone: another program's is left."""
    vm.ok("start", vm.name)
    vm.qmp("human-monitor-command", **{"command-line": "savevm by-hand"})
    since, *_ = asks(vm, "by-hand")
    assert since == "it was created"
