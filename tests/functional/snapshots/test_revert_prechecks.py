"""snapshot revert of a running VM: what has become another since then."""

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional.snapshots.checks import consistent
from tests.functional.snapshots.remembering import remember, remembers
from tests.functional.snapshots.reverting import revert

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine


@pytest.fixture
def kept(vm: "Machine") -> "Machine":
    """It runs, has a snapshot ``s1``, and is another since then."""
    vm.ok("start", vm.name)
    vm.write(1)
    remember(vm, 1)
    vm.snapshot("s1")
    vm.write(2)
    remember(vm, 2)
    return vm


def back(vm: "Machine", name: str = "s1") -> str:
    """Go back; all is as it was.  What is said about it."""
    said = vm.ok(*revert(vm, name)).err
    assert vm.state == "running"
    assert vm.holds(1)
    assert remembers(vm) == 1
    assert vm.current == name
    consistent(vm)
    return said


def add_bitmap(vm: "Machine", name: str, *, persistent: bool) -> None:
    vm.qmp(
        "block-dirty-bitmap-add",
        node="disk1",
        name=name,
        persistent=persistent,
    )


def bitmaps(vm: "Machine") -> list[str]:
    """Those that the running QEMU has, or those in the images."""
    if not vm.alive:
        return [
            each["name"]
            for file in vm.images.values()
            for each in json.loads(
                subprocess.check_output(
                    ["qemu-img", "info", "--output=json", file]
                )
            )["format-specific"]["data"].get("bitmaps", [])
        ]
    return [
        each["name"]
        for node in vm.qmp("query-named-block-nodes", flat=True)
        for each in node.get("dirty-bitmaps", [])
    ]


def test_bitmaps_are_dropped_aloud(kept: "Machine") -> None:
    pid = kept.row()["pid"]
    add_bitmap(kept, "lasting", persistent=True)
    add_bitmap(kept, "passing", persistent=False)
    said = back(kept)
    assert (
        "dirty bitmaps are dropped (lasting, passing): the next backup is "
        "full" in said
    )
    assert kept.row()["pid"] == pid
    assert bitmaps(kept) == []
    # None are: nothing is said.
    assert "bitmap" not in back(kept)


def test_bitmaps_in_the_images_are_dropped_aloud(kept: "Machine") -> None:
    """In place and in a copy, by a new QEMU and without one."""
    vm = kept
    dropped = "dirty bitmaps are dropped (lasting): the next backup is full"
    add_bitmap(vm, "lasting", persistent=True)
    vm.ok("quit", vm.name)
    assert bitmaps(vm) == ["lasting"]
    assert dropped in back(vm)
    assert bitmaps(vm) == []
    add_bitmap(vm, "lasting", persistent=True)
    vm.ok("quit", vm.name)
    assert dropped in vm.ok(*revert(vm, "s1", "--no-ram")).err
    assert bitmaps(vm) == []
    assert vm.holds(1)
    image = vm.images["disk1"]
    subprocess.run(["qemu-img", "bitmap", "--add", image, "old"], check=True)
    vm.snapshot("above", "--external")
    vm.write(3)
    said = back(vm)
    assert "copies disk0.qcow2, disk1.qcow2" in said
    assert "dirty bitmaps are dropped (old): the next backup is full" in said
    assert bitmaps(vm) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("cpus=2", "machine.cpus: 2 → 1"),
        ("machine.type=pc-q35-7.1", "machine.type: pc-q35-7.1 → "),
        ("cpu=qemu64", "machine.cpu: qemu64 → "),
    ],
)
def test_another_machine(kept: "Machine", change: str, said: str) -> None:
    vm = kept
    pid = vm.row()["pid"]
    vm.ok("set", vm.name, change)
    # What waits for the next start is nothing to the QEMU that runs.
    assert "in a new QEMU" not in back(vm)
    assert vm.row()["pid"] == pid
    vm.ok("set", vm.name, change)
    vm.ok("quit", vm.name)
    vm.ok("start", vm.name)
    told = back(vm)
    assert "goes on in a new QEMU: the machine was another (no more" in told
    assert said in told
    assert "as it was then" in told


def test_another_accelerator(kept: "Machine") -> None:
    vm = kept
    file = vm.paths.snapshot_tree
    text = file.read_text()
    file.write_text(text.replace("accel=tcg", "accel=kvm"))
    refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 4
    assert "the machine would be another (no more " in refused.err
    assert "accel=kvm" in refused.err
    assert vm.state == "running"
    assert vm.holds(2)
    assert remembers(vm) == 2
    file.write_text(text)
    back(vm)


def test_a_disk_that_was_added(kept: "Machine") -> None:
    """It takes no part, and it is not lost."""
    vm = kept
    vm.ok("disk", "add", vm.name, "8M")
    vm.write(7, "disk2")
    vm.snapshot("s2")
    vm.write(8, "disk2")
    said = vm.ok(*revert(vm, "s1")).err
    assert "goes on in a new QEMU: it had other devices (disk2)" in said
    assert "disk2 is not plugged in any more (disk2.qcow2 stays)" in said
    assert "None" not in said
    assert vm.holds(1)
    assert remembers(vm) == 1
    assert set(vm.images) == {"disk0", "disk1"}
    said = vm.ok(*revert(vm, "s2")).err
    assert "disk2 is plugged in again, as it was then" in said
    assert vm.holds(7, "disk2")
    assert vm.holds(2)
    assert remembers(vm) == 2
    consistent(vm)


def test_a_device_that_was_added(kept: "Machine") -> None:
    vm = kept
    vm.qmp(*("device_add",), driver="virtio-rng-pci", id="more", bus="rp6")
    said = back(vm)
    assert "in a new QEMU: it had other devices (more)" in said
    found = vm.qmp("qom-list", path="/machine/peripheral")
    assert "more" not in {each["name"] for each in found}


def test_a_disk_that_another_program_plugged_in(
    kept: "Machine", tmp_path: Path
) -> None:
    """A load would leave it as of today: a new QEMU does not have it."""
    vm = kept
    file = tmp_path / "own.raw"
    file.write_bytes(bytes(1 << 20))
    vm.qmp(
        "blockdev-add",
        **{"driver": "file", "node-name": "own", "filename": str(file)},
    )
    vm.qmp("device_add", driver="scsi-hd", bus="scsi0.0", drive="own")
    said = back(vm)
    assert "goes on in a new QEMU: it had other disks" in said
    devices = [
        block["inserted"]["node-name"]
        for block in vm.qmp("query-block")
        if "inserted" in block
    ]
    assert sorted(devices) == ["disk0", "disk1"]
