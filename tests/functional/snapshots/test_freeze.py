"""How long the guest stands still is said, and asked when that is long."""

import re
from typing import TYPE_CHECKING

import pytest

from tests.functional.snapshots.asked import asked
from tests.functional.snapshots.checks import consistent
from tests.functional.snapshots.taken import tree

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

SAID = re.compile(
    r"up to (\S+ \S+) of RAM are to be written(?:, at about (\S+) (\S+) a "
    r"second)?: the guest stands still for (about )?(\S+)( at most)?"
)
SHORT = ("-c", "snapshot.max-freeze=1ms")


def names(vm: "Machine") -> list[str]:
    return [each.name for each in tree(vm).snapshots]


def test_it_is_always_said(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    for words in ((), ("--yes",)):
        found = SAID.search(vm.snapshot(*words).err)
        assert found
        assert found[6] == " at most"
    assert "stands still" not in vm.snapshot("--external").err
    assert "stands still" not in vm.snapshot("--external", "--ram").err
    assert "stands still" not in vm.snapshot("--dry-run").err
    vm.ok("pause", vm.name)
    assert "stands still" not in vm.snapshot().err  # it does already
    vm.ok("quit", vm.name)
    assert "stands still" not in vm.snapshot().err


def test_the_last_rate_counts(busy: "Machine") -> None:
    made = busy.snapshot("s1", "-y", "-f", "json")
    assert SAID.search(made.err)
    rate = made.json["ram_bytes"] / made.json["seconds"]
    found = SAID.search(busy.snapshot("s2", "-y").err)
    assert found
    assert found[4] == "about "
    assert float(found[2]) == pytest.approx(rate / (1 << 20), rel=0.01)
    assert found[3] == "MiB"


def test_a_person_is_asked_and_offered_another_way(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    words = (*SHORT, "snapshot", "create", vm.name)
    rc, seen = asked(vm, "n", *words, question="hold up the guest for ")
    assert rc == 1
    assert "not confirmed" in seen
    offered = "hint: --external --ram writes the RAM to a file"
    assert seen.index("of RAM are to be written") < seen.index(offered)
    assert seen.index(offered) < seen.index("hold up the guest")
    assert tree(vm).snapshots == ()
    assert not vm.paths.snapshots.exists()
    assert vm.files == {"disk0.qcow2", "disk1.qcow2"}
    assert "STOP" not in vm.events()
    assert vm.state == "running"
    rc, seen = asked(vm, "y", *words, "taken")
    assert rc == 0, seen
    assert names(vm) == ["taken"]
    # What was offered is not asked about.
    rc, seen = asked(vm, None, *words, "other", "--external", "--ram")
    assert rc == 0, seen
    assert names(vm) == ["taken", "other"]
    consistent(vm)


def test_what_is_refused_is_not_asked_about(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.snapshot("s1")
    rc, seen = asked(vm, None, *SHORT, "snapshot", "create", vm.name, "s1")
    assert rc == 4
    assert "there is a snapshot 's1' already" in seen


def test_going_back_with_a_stash_asks_too(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.write(1)
    vm.snapshot("s1")
    vm.write(2)
    words = (*SHORT, "snapshot", "revert", vm.name, "s1", "--stash")
    rc, seen = asked(vm, "n", *words, question="hold up the guest for ")
    assert rc == 1
    assert "hint: 'qemu snapshot create m0 --external --ram'" in seen
    assert names(vm) == ["s1"]
    assert vm.holds(2)
    rc, seen = asked(vm, "y", *words)
    assert rc == 0, seen
    assert names(vm) == ["s1", "s2"]
    assert vm.holds(1)
