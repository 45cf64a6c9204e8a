"""qemu snapshot delete: it goes, and what others need of it stays."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.functional.killing import kill_in, moments
from tests.functional.snapshots.checks import (
    TIMEOUT_S,
    check,
    consistent,
    small_disk,
    stuffed,
    tags,
)

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

    Make = Callable[..., "Machine"]

SLOWLY = Path(__file__).parents[1] / "slowly.py"
#: Each has a place of its own on the disks, so none hides another.
PLACES = {number: f"{number}M 64k" for number in range(1, 6)}


@pytest.fixture(params=["running", "stopped"])
def either(request: pytest.FixtureRequest, vm: "Machine") -> "Machine":
    if request.param == "running":
        vm.ok("start", vm.name)
    return vm


def mark(vm: "Machine", *numbers: int) -> None:
    for number in numbers:
        vm.write(number, where=PLACES[number])


def marks(vm: "Machine") -> set[int]:
    """Which marks both disks have."""
    return {
        number
        for number, where in PLACES.items()
        if vm.holds(number, where=where)
    }


def delete(vm: "Machine", *names: str) -> dict[str, Any]:
    done = vm.ok(
        *("snapshot", "delete", vm.name, *names, "--yes", "-f", "json")
    )
    return dict(done.json)


def named(vm: "Machine") -> set[str]:
    listed = vm.ok("snapshot", "list", vm.name, "-f", "json").json
    assert not any(row["problem"] for row in listed), listed
    return {row["name"] for row in listed}


def test_what_later_ones_need_is_merged(either: "Machine") -> None:
    vm = either
    for number in (1, 2, 3):
        mark(vm, number)
        vm.snapshot(f"e{number}", "--external")
    mark(vm, 4)
    told = delete(vm, "e2")
    assert told["snapshots"] == ["e2"]
    assert len(told["removed"]) == 2  # a layer of each disk
    assert named(vm) == {"e1", "e3"}
    assert marks(vm) == {1, 2, 3, 4}
    consistent(vm)
    vm.revert("e1")
    assert marks(vm) == {1}
    vm.revert("e3")
    assert marks(vm) == {1, 2, 3}
    # The oldest and the newest: nothing is below, and nothing stands on it.
    delete(vm, "e1", "e3")
    assert marks(vm) == {1, 2, 3}
    assert len(vm.files) == 2
    consistent(vm)


def test_several_stand_on_it(either: "Machine") -> None:
    vm = either
    mark(vm, 1)
    vm.snapshot("root", "--external")
    for number in (2, 3, 4):
        vm.revert("root")
        mark(vm, number)
        vm.snapshot(f"e{number}", "--external")
    vm.revert("root")
    mark(vm, 5)
    delete(vm, "root")
    assert marks(vm) == {1, 5}
    consistent(vm)
    for number in (2, 3, 4):
        vm.revert(f"e{number}")
        assert marks(vm) == {1, number}
    consistent(vm)


def test_internal_ones(either: "Machine") -> None:
    vm = either
    for number in (1, 2, 3):
        mark(vm, number)
        vm.snapshot(f"s{number}")
    image = vm.images["disk0"]
    before = tags(image)
    told = delete(vm, "s2")
    assert told["removed"] == []
    assert len(before - tags(image)) == 1
    assert marks(vm) == {1, 2, 3}
    vm.revert("s1")
    assert marks(vm) == {1}
    vm.revert("s3")
    assert marks(vm) == {1, 2, 3}
    consistent(vm)


def test_an_internal_one_keeps_what_it_stands_on(vm: "Machine") -> None:
    mark(vm, 1)
    vm.snapshot("below", "--external")
    mark(vm, 2)
    vm.snapshot("inside")
    mark(vm, 3)
    told = delete(vm, "below")
    assert told["removed"] == []
    assert sorted(Path(file).name for file in told["kept"]) == [
        "disk0.qcow2",
        "disk1.qcow2",
    ]
    vm.revert("inside")
    assert marks(vm) == {1, 2}
    delete(vm, "inside")
    assert marks(vm) == {1, 2}
    assert len(vm.files) == 2


def test_a_clone_keeps_what_it_stands_on(
    vm: "Machine", machine: "Make"
) -> None:
    mark(vm, 1)
    vm.snapshot("e1", "--external")
    mark(vm, 2)
    vm.ok("clone", vm.name, "twin")
    try:
        mark(vm, 3)
        delete(vm, "e1")
        assert marks(vm) == {1, 2, 3}
        twin = type(vm)(vm.home, "twin")
        assert marks(twin) == {1, 2}
        for file in vm.files:
            check(vm.paths.directory / file)
    finally:
        vm.ok("delete", "twin", "--yes")


def test_a_tag_that_another_program_made(vm: "Machine") -> None:
    for file in vm.images.values():
        subprocess.run(
            ["qemu-img", "snapshot", "-c", "theirs", file],
            check=True,
            timeout=TIMEOUT_S,
        )
    assert named(vm) == {"theirs"}
    vm.ok("snapshot", "delete", vm.name, "theirs", "--yes")
    assert named(vm) == set()
    assert not tags(vm.images["disk0"])


def test_refusals(either: "Machine") -> None:
    vm = either
    vm.snapshot("monday", "--external")
    before = vm.files, vm.paths.snapshot_tree.read_text()
    refused = vm.home("snapshot", "delete", vm.name, "mondey", "--yes")
    assert refused.rc == 3
    assert "did you mean 'monday'?" in refused.err
    refused = vm.home("snapshot", "delete", vm.name)
    assert refused.rc == 2
    assert "nothing is left to be merged" in refused.err
    # Nobody is there to be asked.
    refused = vm.home("snapshot", "delete", vm.name, "monday")
    assert refused.rc == 2
    assert "--yes" in refused.err
    shown = vm.ok("snapshot", "delete", vm.name, "monday", "--dry-run")
    assert "disk0" in shown.out
    assert (vm.files, vm.paths.snapshot_tree.read_text()) == before
    delete(vm, "monday")
    assert len(vm.files) == 2


@pytest.mark.parametrize("qemu", ["lives", "dies, too", "is not there"])
def test_killed_between_every_two_steps(vm: "Machine", qemu: str) -> None:
    """Nothing is lost; the next delete merges what is left."""
    if qemu != "is not there":
        vm.ok("start", vm.name)
    mark(vm, 1)
    vm.snapshot("base", "--external")
    kills = 0
    for when, index in moments():
        if qemu != "is not there" and not vm.alive:
            vm.ok("start", vm.name)
        name = f"e{kills}"
        vm.write(kills + 20, where=PLACES[2])
        vm.snapshot(name, "--external")
        vm.write(kills + 20, where=PLACES[3])
        for disk in vm.images:
            vm.io("flush", disk)
        words = ("snapshot", "delete", vm.name, name, "--yes")
        if not kill_in(vm.home, when, index, *words):
            break
        kills += 1
        if qemu == "dies, too":
            vm.kill()
        # With the name or without: some of it may be done.
        again = vm.home(*words)
        if again.rc != 0:
            assert again.rc == 3, again.err
            merged = vm.home("snapshot", "delete", vm.name, "--yes")
            assert merged.rc in (0, 2), merged.err
        assert not vm.paths.journal.exists()
        assert named(vm) == {"base"}, (when, index)
        consistent(vm)
        assert len(vm.files) == 4
        for place in (2, 3):
            held = vm.holds(kills + 19, where=PLACES[place])
            assert held, (when, index, place)
        assert vm.holds(1, where=PLACES[1])
    assert kills >= 4
    vm.revert("base")
    assert marks(vm) == {1}


def slowly(vm: "Machine", *words: str) -> subprocess.Popen[str]:
    """Delete, at no more than 1 MiB a second."""
    return subprocess.Popen(
        [
            *(sys.executable, SLOWLY, str(1 << 20)),
            *("snapshot", "delete", vm.name, *words, "--yes"),
        ],
        env=vm.home.environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_it_copies(vm: "Machine") -> None:
    end = time.monotonic() + TIMEOUT_S
    while not any(job["offset"] for job in vm.qmp("query-block-jobs")):
        assert time.monotonic() < end
        time.sleep(0.02)


def full(vm: "Machine", *disks: str) -> None:
    """A running VM in which a merge has 4 MiB to copy."""
    vm.ok("start", vm.name)
    vm.write(7, *disks, where="0 4M")
    vm.snapshot("e1", "--external")
    vm.write(8, *disks, where="2M 4M")
    vm.snapshot("e2", "--external")
    vm.write(9, *disks, where="4M 4M")
    for disk in vm.images:
        assert vm.io("flush", disk) == ""


def full_holds(vm: "Machine", *disks: str) -> None:
    for pattern, where in ((7, "0 2M"), (8, "2M 2M"), (9, "4M 4M")):
        assert vm.holds(pattern, *disks, where=where), where


def test_qemu_is_killed_while_it_copies(vm: "Machine") -> None:
    full(vm)
    with slowly(vm, "e2") as process:
        until_it_copies(vm)
        vm.kill()
        _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode not in (0, -9)
    assert "nothing is lost" in said
    assert named(vm) == {"e1"}
    full_holds(vm)
    vm.ok("snapshot", "delete", vm.name, "--yes")
    full_holds(vm)
    assert len(vm.files) == 4
    consistent(vm)
    vm.revert("e1")
    assert vm.holds(7, where="0 4M")


def test_ctrl_c_ends_the_copying(vm: "Machine") -> None:
    full(vm)
    with slowly(vm, "e2") as process:
        until_it_copies(vm)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert vm.qmp("query-jobs") == []
    full_holds(vm)
    vm.ok("snapshot", "delete", vm.name, "--yes")
    full_holds(vm)
    consistent(vm)


def test_left_to_qemu(machine: "Make") -> None:
    vm = machine("--disk", "8M")
    full(vm, "disk0")
    vm.ok("snapshot", "delete", vm.name, "e2", "--yes", "--detach")
    vm.ok("job", "wait", vm.name)
    full_holds(vm, "disk0")
    assert len(vm.files) == 2
    consistent(vm)


def test_what_can_not_be_left_to_qemu(vm: "Machine") -> None:
    full(vm)
    refused = vm.home(
        *("snapshot", "delete", vm.name, "e2", "--yes", "--detach")
    )
    assert refused.rc == 2
    assert "here are 2" in refused.err
    assert named(vm) == {"e1", "e2"}


def test_two_at_the_same_time(vm: "Machine") -> None:
    full(vm)
    both = [
        subprocess.Popen(
            [
                *(vm.home.executable, "snapshot", "delete", vm.name),
                *(name, "--yes"),
            ],
            env=vm.home.environment,
            stderr=subprocess.DEVNULL,
        )
        for name in ("e1", "e2")
    ]
    assert [each.wait(TIMEOUT_S) for each in both] == [0, 0]
    full_holds(vm)
    assert named(vm) == set()
    assert len(vm.files) == 2
    consistent(vm)


@pytest.mark.parametrize("how", ["running", "stopped"])
def test_no_room_for_a_merge(vm: "Machine", how: str) -> None:
    """What could not be merged is there, and merged when there is room."""
    mark(vm, 1)
    vm.snapshot("e1", "--external")
    vm.write(2, where="0 3M")
    vm.snapshot("e2", "--external")
    # The smaller is merged into the larger, which has to grow.
    vm.write(3, where="3M 4M")
    with small_disk(vm, "20M"):
        if how == "running":
            vm.ok("start", vm.name)
        stuffing = stuffed(vm, 1 << 19)
        failed = vm.home("snapshot", "delete", vm.name, "e2", "--yes")
        assert failed.rc != 0
        assert "No space left on device" in failed.err
        assert "nothing is lost" in failed.err
        assert named(vm) == {"e1"}
        if how == "running":
            assert vm.qmp("query-jobs") == []
        stuffing.unlink()
        assert vm.holds(2, where="0 3M")
        assert vm.holds(3, where="3M 4M")
        vm.ok("snapshot", "delete", vm.name, "--yes")
        assert vm.holds(2, where="0 3M")
        assert vm.holds(3, where="3M 4M")
        consistent(vm)
        vm.revert("e1")
        assert marks(vm) & {1} == {1}


def test_it_says_what_goes_and_what_stays(vm: "Machine") -> None:
    mark(vm, 1)
    vm.snapshot("e1", "--external")
    mark(vm, 2)
    done = vm.ok("snapshot", "delete", vm.name, "e1", "--yes")
    assert "snapshot 'e1' (external)" in done.err
    assert "is written into" in done.err or "is copied into" in done.err
    history = vm.paths.history.read_text().splitlines()
    assert any(json.loads(line).get("snapshots") == ["e1"] for line in history)
