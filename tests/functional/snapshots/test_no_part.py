"""What can't take part in a snapshot is named before anything is done."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional.snapshots.taken import only, read, refused

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

    Make = Callable[..., "Machine"]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    """A block device of the host; where there is none left, a raw file."""
    file = tmp_path / "device.raw"
    with file.open("wb") as stream:
        stream.truncate(8 << 20)
    made = subprocess.run(
        ["losetup", "-f", "--show", file], capture_output=True, text=True
    )
    yield Path(made.stdout.strip()) if made.returncode == 0 else file
    if made.returncode == 0:
        subprocess.run(["losetup", "-d", made.stdout.strip()], check=True)


def test_a_device_that_qemu_can_not_save(machine: "Make") -> None:
    vm = machine("--disk", "8M", "--disk", "8M,bus=nvme")
    vm.snapshot("off")
    vm.ok("start", vm.name)
    vm.write(1)
    for words in (("i1",), ("e1", "--external", "--ram")):
        said = refused(vm, *words)
        assert "the RAM of 'm0' can't be saved: non-migratable" in said
        assert "/nvme" in said
        assert "hint: --external takes the disks alone" in said
        assert not vm.paths.snapshot_definition(words[0]).exists()
    words = ("snapshot", "revert", vm.name, "off", "--stash", "--yes")
    stashed = vm.home(*words)
    assert stashed.rc == 4
    assert "non-migratable device" in stashed.err
    assert "without --stash it is lost" in stashed.err
    assert "STOP" not in vm.events()
    assert vm.state == "running"
    vm.snapshot("e1", "--external")
    vm.write(2)
    vm.revert("e1")
    assert vm.holds(1)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_device_of_the_host(
    machine: "Make", device: Path, state: str
) -> None:
    vm = machine("--image", device, "--in-place", "--disk", "8M")
    if state == "running":
        vm.ok("start", vm.name)
    vm.write(1)
    said = refused(vm)
    assert "disk0 is raw, and only qcow2 images have room for one" in said
    assert "puts overlays on the disks instead" in said
    vm.snapshot("e1", "--external")
    assert only(vm).layer("disk0")
    vm.write(2)
    assert read(device, 1)
    vm.revert("e1")
    assert vm.holds(1)
    assert read(device, 1)


def test_one_that_only_some_disks_are_wanted_of(
    machine: "Make", device: Path
) -> None:
    vm = machine("--image", device, "--in-place", "--disk", "8M")
    vm.ok("start", vm.name)
    vm.write(1)
    vm.snapshot("e1", "--external", "--disk", "disk1")
    vm.write(2)
    vm.revert("e1")
    assert vm.holds(1, "disk1")
    assert vm.holds(2, "disk0")
