"""snapshot revert --stash: today is kept, and can be gone back to."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional.snapshots.asked import asked
from tests.functional.snapshots.checks import consistent, holding
from tests.functional.snapshots.remembering import remember, remembers
from tests.functional.snapshots.reverting import files, revert
from tests.functional.snapshots.taken import tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.snapshots.conftest import Machine


def names(vm: "Machine") -> list[str]:
    return [each.name for each in tree(vm).snapshots]


@pytest.mark.parametrize("kind", ["internal", "external"])
def test_of_a_stopped_vm(vm: "Machine", kind: str) -> None:
    vm.write(1)
    vm.snapshot("s1", *(["--external"] if kind == "external" else []))
    vm.write(2)
    # Nothing is lost, so nobody is asked.
    done = vm.ok("snapshot", "revert", vm.name, "s1", "--stash")
    assert "today is kept as 's2'" in done.err
    assert vm.holds(1)
    assert vm.current == "s1"
    assert tree(vm).find("s2").parent == "s1"
    vm.write(3)
    told = vm.revert("s2", "--stash", "third")
    assert told["stash"] == "third"
    assert vm.holds(2)
    vm.revert("third")
    assert vm.holds(3)
    consistent(vm)


def test_of_a_running_vm_its_ram_is_kept_too(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.write(1)
    remember(vm, 1)
    vm.snapshot("s1")
    vm.write(2)
    remember(vm, 2)
    pid = vm.row()["pid"]
    done = vm.ok("snapshot", "revert", vm.name, "s1", "--stash", "today")
    assert "of RAM are to be written" in done.err
    assert (vm.row()["pid"], vm.state) == (pid, "running")
    assert vm.holds(1)
    assert remembers(vm) == 1
    vm.write(3)
    done = vm.ok("snapshot", "revert", vm.name, "today", "--stash")
    assert vm.row()["pid"] == pid
    assert vm.holds(2)
    assert remembers(vm) == 2
    assert names(vm) == ["s1", "today", "s3"]
    vm.revert("s3")
    assert vm.holds(3)
    assert remembers(vm) == 1
    consistent(vm)


@pytest.mark.parametrize("kind", ["internal", "external"])
def test_who_runs_is_not_ended_unasked(vm: "Machine", kind: str) -> None:
    vm.write(1)
    vm.snapshot("off", *(["--external"] if kind == "external" else []))
    vm.ok("start", vm.name)
    vm.write(2)
    remember(vm, 2)
    pid = vm.row()["pid"]
    words = ("snapshot", "revert", vm.name, "off", "--stash")
    refused = vm.home(*words)
    assert refused.rc == 2
    question = (
        f"go back to 'off' and end the QEMU of '{vm.name}' "
        "(today is kept as 's2')"
    )
    assert f"{question}: not without --yes" in refused.err
    rc, seen = asked(vm, "n", *words, question=question)
    assert (rc, names(vm)) == (1, ["off"]), seen
    assert (vm.row()["pid"], vm.state) == (pid, "running")
    assert vm.holds(2)
    rc, seen = asked(vm, "y", *words, question=question)
    assert rc == 0, seen
    assert vm.state == "stopped"
    assert vm.holds(1)
    assert vm.revert("s2")["state"] == "running"
    assert vm.holds(2)
    assert remembers(vm) == 2
    consistent(vm)


def test_what_is_refused_leaves_no_stash(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("s1")
    vm.snapshot("e1", "--external")
    vm.write(2)
    before = files(vm)

    def refused(why: str, *words: str) -> None:
        done = vm.home(*revert(vm, *words))
        assert done.rc in (2, 3, 4, 6), done.err
        assert why in done.err
        assert files(vm) == before

    refused("there is no snapshot 's9'", "s9", "--stash")
    refused("there is a snapshot 's1' already", "s1", "--stash", "s1")
    refused("takes a number for an id", "s1", "--stash", "1")
    with holding(vm.images["disk1"]):
        refused("is in use by qemu-io", "e1", "--stash")
    below = vm.paths.directory / "disk1.qcow2"
    aside = below.rename(below.with_suffix(".aside"))
    before = files(vm)
    refused(f"is missing: {below}", "s1", "--stash")
    aside.rename(below)
    before = files(vm)
    vm.ok("nbd-export", vm.name, "--snapshot", "s1")
    refused("is being exported", "s1", "--stash")
    vm.ok("export", "stop", vm.name)
    vm.ok("start", vm.name)
    before = files(vm)
    vm.ok("nbd-export", vm.name, "--live")
    refused("is being exported", "s1", "--stash")
    vm.ok("export", "stop", vm.name)
    assert vm.alive


def test_today_that_can_not_be_kept(
    machine: "Callable[..., Machine]", tmp_path: Path
) -> None:
    image = tmp_path / "own.raw"
    image.write_bytes(bytes(8 << 20))
    vm = machine("--disk", "8M", "--image", image, "--in-place")
    raw = next(id for id, file in vm.images.items() if file.suffix == ".raw")
    other = next(id for id in vm.images if id != raw)
    vm.write(1, other)
    vm.snapshot("e1", "--external", "--disk", other)
    vm.write(2, other)
    done = vm.home(*revert(vm, "e1", "--stash"))
    assert done.rc == 4
    assert f"{raw} is raw, and only qcow2 images have room" in done.err
    assert "without --stash it is lost" in done.err
    assert vm.holds(2, other)
    vm.revert("e1")
    assert vm.holds(1, other)


def test_dry_run_shows_the_stash_and_the_end_of_qemu(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("off", "--external")
    vm.ok("start", vm.name)
    vm.write(2)
    before = files(vm)
    words = ("snapshot", "revert", vm.name, "off", "--stash", "now")
    shown = vm.ok(*words, "--dry-run").out.splitlines()
    steps = ["snapshot-save", '"quit"', "qemu-img create", "tree.json"]
    places = [
        next(n for n, line in enumerate(shown) if step in line and n > 3)
        for step in steps
    ]
    assert places[:3] == sorted(places[:3]), shown
    # The layers that are the stash's do not go.
    assert not any(line.startswith("rm ") for line in shown), shown
    assert files(vm) == before
    assert vm.state == "running"
    vm.ok(*words, "--yes")
    assert names(vm) == ["off", "now"]
