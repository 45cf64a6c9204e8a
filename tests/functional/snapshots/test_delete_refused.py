"""snapshot delete is refused: why is said, and nothing is changed."""

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.functional.snapshots.checks import (
    consistent,
    holding,
    small_disk,
)
from tests.functional.snapshots.reverting import files
from tests.functional.snapshots.taken import tree

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine


def delete(vm: "Machine", *names: str) -> tuple[str, ...]:
    return ("snapshot", "delete", vm.name, *names, "--yes")


def names(vm: "Machine") -> set[str]:
    return {each.name for each in tree(vm).snapshots}


@pytest.fixture
def kept(vm: "Machine") -> "Machine":
    """Three layers of each disk; inside of the lowest is a snapshot."""
    vm.write(1)
    vm.snapshot("i1")
    vm.snapshot("e1", "--external")
    vm.write(2)
    vm.snapshot("e2", "--external")
    vm.write(3)
    return vm


@pytest.mark.parametrize(
    ("name", "layer"),
    [("i1", "disk1.qcow2"), ("e2", "disk1.1.qcow2"), ("e2", "disk1.2.qcow2")],
)
def test_an_image_that_another_program_has_open(
    kept: "Machine", name: str, layer: str
) -> None:
    vm = kept
    before = files(vm)
    with holding(vm.paths.directory / layer) as pid:
        refused = vm.home(*delete(vm, name))
    assert refused.rc == 6, refused.err
    assert f"{layer} is in use by qemu-io (pid {pid})" in refused.err
    assert "hint: end that first" in refused.err
    assert files(vm) == before
    vm.ok(*delete(vm, name))
    assert name not in names(vm)
    assert vm.holds(3)
    consistent(vm)


def test_one_that_somebody_reads_below_a_running_vm(kept: "Machine") -> None:
    vm = kept
    vm.ok("start", vm.name)
    file = vm.paths.directory / "disk0.1.qcow2"
    reader = subprocess.Popen(
        ["qemu-io", "-r", "-U", "-f", "qcow2", file],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert reader.stdout
        assert reader.stdout.read(7)  # the prompt: it has it open
        refused = vm.home(*delete(vm, "e2"))
        assert refused.rc == 6, refused.err
        assert f"in use by qemu-io (pid {reader.pid})" in refused.err
    finally:
        reader.communicate(b"quit\n", timeout=60)
    vm.ok(*delete(vm, "e2"))
    assert vm.holds(3)
    consistent(vm)


def test_a_layer_that_is_missing(kept: "Machine") -> None:
    """Nothing is forgotten that could still be of use when it is back."""
    vm = kept
    below = vm.paths.directory / "disk1.qcow2"
    aside = below.rename(below.with_suffix(".aside"))
    before = files(vm)
    for name in ("i1", "e1", "e2"):
        refused = vm.home(*delete(vm, name))
        assert refused.rc == 3, refused.err
        assert f"disk1 of '{vm.name}' lacks a file: {below}" in refused.err
        assert files(vm) == before
    for words in ((), ("--external",)):
        refused = vm.home("snapshot", "create", vm.name, "s9", *words)
        assert refused.rc == 3, refused.err
        what = f"disk1 of '{vm.name}' stands on a file that is missing"
        assert f"{what}: {below}" in refused.err
        assert files(vm) == before
    aside.rename(below)
    active = vm.images["disk0"]
    aside = active.rename(active.with_suffix(".aside"))
    refused = vm.home("snapshot", "create", vm.name, "s9")
    assert f"disk0 of '{vm.name}' is missing: {active}" in refused.err
    refused = vm.home(*delete(vm, "e2"))
    assert f"disk0 of '{vm.name}' lacks a file: {active}" in refused.err
    aside.rename(active)
    vm.ok(*delete(vm, "i1", "e1", "e2"))
    assert vm.holds(3)
    assert len(vm.files) == 2
    consistent(vm)


def test_a_snapshot_whose_file_is_gone_can_be_forgotten(
    kept: "Machine",
) -> None:
    """What it stood on is not touched before that."""
    vm = kept
    vm.revert("e1")
    vm.write(4)
    gone = vm.paths.directory / "disk0.1.qcow2"
    gone.rename(gone.with_suffix(".aside"))
    before = files(vm)
    refused = vm.home(*delete(vm, "e1"))
    assert refused.rc == 3
    assert f"'e2' of '{vm.name}' lacks a file: {gone}" in refused.err
    assert "or delete 'e2', too" in refused.err
    assert files(vm) == before
    vm.ok(*delete(vm, "e1", "e2"))
    assert names(vm) == {"i1"}
    assert vm.holds(4)
    consistent(vm)


def test_a_directory_that_can_not_be_written(kept: "Machine") -> None:
    vm = kept
    with small_disk(vm, "16M"):
        before = files(vm)
        mount = ["mount", "-o", "remount,ro", vm.paths.directory]
        subprocess.run(mount, check=True)
        for name in ("i1", "e1", "e2"):
            failed = vm.home(*delete(vm, name))
            assert failed.rc == 1, failed.err
            assert "Read-only file system" in failed.err
        mount[2] = "remount,rw"
        subprocess.run(mount, check=True)
        assert files(vm) == before
        vm.ok(*delete(vm, "i1", "e1", "e2"))
        assert vm.holds(3)
        assert len(vm.files) == 2
