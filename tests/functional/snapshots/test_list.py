"""qemu snapshot list, show and rename: both kinds in one tree."""

import subprocess
from typing import TYPE_CHECKING, Any

from tests.functional.snapshots.checks import TIMEOUT_S

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine


def rows(vm: "Machine") -> dict[str, dict[str, Any]]:
    listed = vm.ok("snapshot", "list", vm.name, "-f", "json").json
    return {row["name"]: row for row in listed}


def tree(vm: "Machine") -> list[str]:
    """The tree as it is drawn, without what stands beside it."""
    out = vm.ok("snapshot", "list", vm.name, "--tree").out
    lines = out.splitlines()[1:]
    return [line.partition("  ")[0].rstrip() for line in lines]


def test_one_tree_of_both_kinds(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.snapshot("s1", "-m", "all tests pass")
    vm.snapshot("e1", "--external")
    vm.snapshot("e2", "--external", "--ram")
    vm.revert("s1")
    vm.snapshot("s2")
    found = rows(vm)
    assert list(found) == ["s1", "e1", "e2", "s2"]  # the oldest first
    assert {name: row["parent"] for name, row in found.items()} == {
        "s1": None,
        "e1": "s1",
        "e2": "e1",
        "s2": "s1",
    }
    assert {name for name, row in found.items() if row["current"]} == {"s2"}
    kinds = {name: (row["kind"], row["ram"]) for name, row in found.items()}
    assert kinds == {
        "s1": ("internal", True),
        "e1": ("external", False),
        "e2": ("external", True),
        "s2": ("internal", True),
    }
    assert found["s1"]["comment"] == "all tests pass"
    assert found["s1"]["size_bytes"] > 1 << 19
    assert 0 <= found["s2"]["age_s"] < TIMEOUT_S
    assert tree(vm) == [
        "* (today)",
        "* s2",
        "| * e2",
        "| * e1",
        "|/",
        "* s1",
    ]
    # Programs get the snapshots only, in the same order.
    listed = vm.ok("snapshot", "list", vm.name, "--tree", "-f", "json").json
    assert [row["name"] for row in listed] == ["s2", "e2", "e1", "s1"]


def test_show_and_rename(vm: "Machine") -> None:
    vm.snapshot("s1", "-m", "first")
    vm.snapshot("e1", "--external")
    shown = vm.ok("snapshot", "show", vm.name, "s1", "-f", "json").json
    assert (shown["kind"], shown["ram"], shown["comment"]) == (
        "internal",
        False,
        "first",
    )
    assert shown["children"] == ["e1"]
    before = {file: file.stat().st_mtime_ns for file in vm.images.values()}
    vm.ok("snapshot", "rename", vm.name, "s1", "before-upgrade")
    assert {f: f.stat().st_mtime_ns for f in vm.images.values()} == before
    assert rows(vm)["e1"]["parent"] == "before-upgrade"
    vm.revert("before-upgrade")
    for words, code, why in (
        (("s1", "s2"), 3, "there is no snapshot 's1'"),
        (("e1", "before-upgrade"), 4, "'before-upgrade'"),
        (("e1", "123"), 2, "takes a number for an id"),
    ):
        refused = vm.home("snapshot", "rename", vm.name, *words)
        assert refused.rc == code, refused.err
        assert why in refused.err.replace("\n", " ")
    assert set(rows(vm)) == {"before-upgrade", "e1"}


def test_what_other_programs_did(vm: "Machine") -> None:
    vm.snapshot("s1")
    image = vm.images["disk0"]
    key = vm.ok("snapshot", "show", vm.name, "s1", "-f", "json").json["tag"]
    for change in (("-d", key), ("-c", "theirs")):
        subprocess.run(
            ["qemu-img", "snapshot", *change, image],
            check=True,
            timeout=TIMEOUT_S,
        )
    found = rows(vm)
    assert "disk0" in found["s1"]["problem"]
    assert not found["theirs"]["ours"]


def test_a_vm_that_is_paused_or_has_none(vm: "Machine") -> None:
    assert rows(vm) == {}
    vm.ok("start", vm.name, "--paused")
    vm.snapshot()
    assert list(rows(vm)) == ["s1"]
    assert tree(vm) == ["* (today)", "* s1"]
    sorted_tree = vm.home(
        *("snapshot", "list", vm.name, "--tree", "--sort", "name")
    )
    assert sorted_tree.rc == 2
