"""qemu snapshot create: what takes no part, and what is refused."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional.snapshots.taken import (
    only,
    read,
    refused,
    sound,
    tags,
    tree,
)

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

    Make = Callable[..., "Machine"]


def own(directory: Path, kind: str, pattern: int) -> Path:
    """An image that the user has, and that begins with a pattern."""
    image = directory / f"own.{kind}"
    make: list[str | Path] = ["qemu-img", "create", "-q", "-f", kind]
    subprocess.run([*make, image, "8M"], check=True)
    write: list[str | Path] = ["qemu-io", "-f", kind, "-c"]
    subprocess.run(
        [*write, f"write -P {pattern} 0 64k", image],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return image


@pytest.mark.parametrize("kind", ["raw", "vmdk"])
def test_what_has_no_room_inside(
    machine: "Make", tmp_path: Path, kind: str
) -> None:
    """It is named, with what to do instead, and that works."""
    image = own(tmp_path, kind, 5)
    vm = machine("--image", image, "--in-place", "--disk", "8M")
    vm.ok("start", vm.name)
    said = refused(vm)
    assert f"disk0 is {kind}, and only qcow2 images have room" in said
    assert "hint: --external --ram puts overlays" in said
    if kind == "vmdk":
        said = refused(vm, "--external", "--ram")
        assert "The vmdk format" in said
        assert "hint: --external takes the disks alone" in said
    vm.snapshot("--external", "e1")
    vm.write(6)
    assert read(image, 5)
    assert vm.holds(6)
    if kind == "raw":
        vm.snapshot("--external", "--ram", "e2")
        vm.snapshot("i2")
    vm.ok("quit", vm.name)
    vm.snapshot("--external", "e3")
    vm.ok("start", vm.name)
    assert vm.holds(6)
    sound(vm)


def test_what_is_only_read_takes_no_part(
    machine: "Make", tmp_path: Path
) -> None:
    image = own(tmp_path, "raw", 5)
    vm = machine("--disk", "8M", "--disk", f"{image},readonly=on")
    before = image.read_bytes()
    vm.snapshot("i1")
    vm.ok("start", vm.name)
    vm.snapshot("i2")
    vm.snapshot("--external", "e3")
    assert {
        tuple(layer.id for layer in each.layers) for each in tree(vm).snapshots
    } == {("disk0",)}
    assert "is read-only" in refused(vm, "--external", "--disk", "disk1")
    assert image.read_bytes() == before


def test_a_disk_that_the_definition_does_not_have(
    machine: "Make", tmp_path: Path
) -> None:
    image = own(tmp_path, "raw", 5)
    drive = f"file={image},format=raw,if=virtio"
    vm = machine("--disk", "8M", "--qemu-arg=-drive", f"--qemu-arg={drive}")
    vm.ok("start", vm.name)
    for words in ((), ("--external",), ("--external", "--ram")):
        said = refused(vm, *words)
        assert "a disk that is not in its definition" in said
        assert str(image) in said
    vm.snapshot("--external", "--disk", "disk0")
    assert only(vm).layer("disk0")


def test_no_disks(machine: "Make") -> None:
    vm = machine()
    assert "has no disk" in refused(vm)
    assert "has no disk" in refused(vm, "--external")
    vm.ok("start", vm.name)
    assert "hint: --external --ram keeps the RAM" in refused(vm)
    vm.snapshot("--external", "--ram")
    assert only(vm).layers == ()
    assert vm.state == "running"


def test_names(vm: "Machine") -> None:
    vm.snapshot()
    vm.snapshot("2026-11-22")
    vm.snapshot()
    assert [each.name for each in tree(vm).snapshots] == [
        *("s1", "2026-11-22", "s3")
    ]
    assert "'s7' would do" in refused(vm, "7")
    assert "can't be called 'a b'" in refused(vm, "a b")
    assert "there is a snapshot 's1' already" in refused(vm, "s1")
    assert "there is a snapshot 's1' already" in refused(
        vm, "--external", "s1"
    )
    tag = ["qemu-img", "snapshot", "-c"]
    subprocess.run([*tag, "theirs", vm.images["disk1"]], check=True)
    subprocess.run([*tag, "s4", vm.images["disk1"]], check=True)
    assert "made by another program" in refused(vm, "theirs")
    vm.snapshot()
    assert tree(vm).snapshots[-1].name == "s5"
    # The old name is free, but inside the images it is not.
    vm.ok("snapshot", "rename", vm.name, "s1", "first")
    vm.snapshot("s1")
    assert tree(vm).find("s1").key == "s1-2"
    assert {"s1", "s1-2"} <= set(tags(vm))


def test_options_that_make_no_sense(vm: "Machine") -> None:
    assert "always of all disks" in refused(vm, "--disk", "disk0")
    assert "always has the RAM" in refused(vm, "--ram")
    assert "still be frozen" in refused(vm, "--quiesce")
    assert "still be frozen" in refused(vm, "--external", "--ram", "--quiesce")
    assert "not both" in refused(vm, "--external", "--ram", "--disk", "disk0")
    assert "does not run" in refused(vm, "--external", "--ram")
    assert "does not run" in refused(vm, "--external", "--quiesce")
    vm.ok("start", vm.name)
    assert "no guest agent" in refused(vm, "--external", "--quiesce")


def test_a_saved_state_needs_its_disks(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.ok("save", vm.name)
    for words in ((), ("--external",)):
        assert "has a saved state" in refused(vm, *words)
    vm.ok("start", vm.name)
    vm.snapshot()


def test_jobs_and_exports_under_way(vm: "Machine", tmp_path: Path) -> None:
    vm.write(1)
    vm.ok("start", vm.name)
    vm.ok("nbd-export", vm.name, "disk1")
    for words in ((), ("--external",)):
        said = refused(vm, *words)
        assert f"disk1 of '{vm.name}' is being exported" in said
    vm.snapshot("--external", "--disk", "disk0", "e1")
    vm.ok("export", "stop", vm.name, "disk1")
    target = tmp_path / "copy.qcow2"
    vm.qmp(
        "drive-backup",
        **{"job-id": "night", "device": "disk1", "target": str(target)},
        sync="full",
        speed=1,
        format="qcow2",
    )
    assert "jobs go on" in refused(vm)
    assert "night (backup)" in refused(vm, "--external")
    vm.qmp("job-cancel", id="night")


def test_a_stopped_vm_whose_disks_are_served(vm: "Machine") -> None:
    vm.ok("nbd-export", vm.name, "disk0")
    assert f"'{vm.name}' is being exported: disk0" in refused(vm)
    vm.ok("export", "stop", vm.name, "disk0")
    vm.snapshot()


def test_a_machine_that_its_definition_does_not_make(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.ok("set", vm.name, "cpus=2")
    said = refused(vm)
    assert "makes another machine than the one that runs" in said
    assert "cpus=" in said or "2,maxcpus" in said
    vm.snapshot("--external")
    vm.ok("set", vm.name, "cpus=1")
    vm.snapshot()


def test_a_disk_that_was_plugged_in(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.ok("disk", "add", vm.name, "8M")
    vm.snapshot("i1")
    assert [layer.id for layer in only(vm).layers] == [
        *("disk0", "disk1", "disk2")
    ]
    vm.ok("disk", "add", vm.name, "8M", "--next-start")
    assert "disk3 is in the definition" in refused(vm)
