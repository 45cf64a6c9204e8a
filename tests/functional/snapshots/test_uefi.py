"""Snapshots of a VM with UEFI: its variables go back with the disks."""

from typing import TYPE_CHECKING

import pytest

from tests.functional.snapshots.checks import consistent
from tests.functional.snapshots.remembering import remember, remembers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.snapshots.conftest import Machine

#: At the end of the variables' spare area, which the firmware leaves alone.
FREE = "540160 512"


@pytest.fixture
def uefi(machine: "Callable[..., Machine]") -> "Machine":
    vm = machine("--disk", "8M", "--firmware", "uefi")
    mark(vm, 1)
    return vm


def mark(vm: "Machine", pattern: int) -> None:
    vm.write(pattern, "disk0")
    vm.write(pattern, "nvram", where=FREE)


def marked(vm: "Machine", pattern: int) -> bool:
    return vm.holds(pattern, "disk0") and vm.holds(
        pattern, "nvram", where=FREE
    )


def test_with_ram_in_the_same_qemu_and_in_a_new_one(uefi: "Machine") -> None:
    vm = uefi
    vm.ok("start", vm.name)
    remember(vm, 1)
    vm.snapshot("s1")
    mark(vm, 2)
    remember(vm, 2)
    assert vm.revert("s1")["qemu"] == "same"
    assert marked(vm, 1)
    assert remembers(vm) == 1
    mark(vm, 3)
    vm.ok("quit", vm.name)
    assert vm.revert("s1")["qemu"] == "new"
    assert marked(vm, 1)
    assert remembers(vm) == 1
    vm.ok("quit", vm.name)
    assert marked(vm, 1)
    consistent(vm)


def test_external_with_ram(uefi: "Machine") -> None:
    vm = uefi
    vm.ok("start", vm.name)
    remember(vm, 1)
    vm.snapshot("e1", "--external", "--ram")
    mark(vm, 2)
    assert vm.revert("e1")["qemu"] == "new"
    assert marked(vm, 1)
    assert remembers(vm) == 1
    consistent(vm)


def test_disks_and_variables_alone(uefi: "Machine") -> None:
    vm = uefi
    vm.snapshot("off")
    vm.snapshot("off-external", "--external")
    vm.ok("start", vm.name)
    for name in ("off", "off-external"):
        mark(vm, 2)
        assert vm.revert(name, "--start")["state"] == "running"
        assert marked(vm, 1)
    consistent(vm)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_delete(uefi: "Machine", state: str) -> None:
    vm = uefi
    if state == "running":
        vm.ok("start", vm.name)
    vm.snapshot("e1", "--external")
    mark(vm, 2)
    vm.snapshot("e2", "--external")
    mark(vm, 3)
    vm.snapshot("i3")
    mark(vm, 4)
    done = vm.ok("snapshot", "delete", vm.name, "i3", "e2", "--yes")
    assert "nvram.2.qcow2" in done.err
    assert marked(vm, 4)
    assert len(vm.files) == 4
    consistent(vm)
    if state == "running":
        vm.qmp("system_reset")  # the firmware writes variables again
    vm.ok("snapshot", "delete", vm.name, "e1", "--yes")
    assert marked(vm, 4)
    assert len(vm.files) == 2
    consistent(vm)


def test_diff(uefi: "Machine") -> None:
    vm = uefi
    vm.ok("start", vm.name)
    vm.snapshot("i1")
    vm.write(2, "disk0")
    for words in (("i1",), ("i1", "--content")):
        rows = vm.ok("snapshot", "diff", vm.name, *words, "-f", "json").json
        assert {row["disk"] for row in rows} == {"disk0"}
        assert sum(row["length_bytes"] for row in rows) == 65536
