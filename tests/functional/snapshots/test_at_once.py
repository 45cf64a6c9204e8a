"""Two commands on the snapshots of one VM at once: they take turns."""

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.functional.snapshots.checks import TIMEOUT_S, consistent
from tests.functional.snapshots.remembering import remember, remembers
from tests.functional.snapshots.reverting import revert
from tests.functional.snapshots.taken import tree

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine


def at_once(vm: "Machine", *commands: tuple[str, ...]) -> list[str]:
    """Run commands at the same time, none of which may fail."""
    processes = [
        subprocess.Popen(
            [vm.home.executable, *words],
            env=vm.home.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in commands
    ]
    said = [each.communicate(timeout=TIMEOUT_S)[1] for each in processes]
    assert [each.returncode for each in processes] == [0] * len(said), said
    return said


def names(vm: "Machine") -> set[str]:
    return {each.name for each in tree(vm).snapshots}


@pytest.mark.parametrize("options", [(), ("--external",)])
def test_going_back_and_taking_one(
    vm: "Machine", options: tuple[str, ...]
) -> None:
    vm.ok("start", vm.name)
    vm.write(1)
    remember(vm, 1)
    vm.snapshot("s1")
    vm.write(2)
    remember(vm, 2)
    create = ("snapshot", "create", vm.name, "new", *options)
    at_once(vm, revert(vm, "s1"), create)
    assert names(vm) == {"s1", "new"}
    new = tree(vm).find("new")
    assert vm.current in ("s1", "new")
    assert new.parent == "s1"
    # It is of what was there before, or of what was gone back to.
    vm.revert("new")
    before = vm.holds(2)
    assert before or vm.holds(1)
    if not options:
        assert remembers(vm) == (2 if before else 1)
    vm.revert("s1")
    assert vm.holds(1)
    assert remembers(vm) == 1
    consistent(vm)


@pytest.mark.parametrize("kind", ["internal", "external"])
def test_going_back_to_two(vm: "Machine", kind: str) -> None:
    options = ["--external", "--ram"] if kind == "external" else []
    vm.ok("start", vm.name)
    for number in (1, 2):
        vm.write(number)
        remember(vm, number)
        vm.snapshot(f"s{number}", *options)
    vm.write(3)
    at_once(vm, revert(vm, "s1"), revert(vm, "s2"))
    number = int((vm.current or "")[1:])
    assert number in (1, 2)
    assert vm.state == "running"
    assert vm.holds(number)
    assert remembers(vm) == number
    consistent(vm)
    vm.revert(f"s{3 - number}")
    assert vm.holds(3 - number)


def test_going_back_and_deleting_that(vm: "Machine") -> None:
    """Whoever comes first: nothing that is kept is another afterwards."""
    vm.write(1)
    vm.snapshot("e1", "--external")
    vm.write(2)
    vm.snapshot("e2", "--external")
    vm.write(3)
    delete = ("snapshot", "delete", vm.name, "e1", "--yes")
    at_once(vm, revert(vm, "e2"), delete)
    assert names(vm) == {"e2"}
    assert vm.holds(2)
    assert vm.current == "e2"
    consistent(vm)
