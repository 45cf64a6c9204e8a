"""qemu snapshot revert: what was there is there again, and goes on."""

import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.instance.snapshots import store
from qemu_cli.storage import header, snapshot_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.snapshots.conftest import Machine


def check(file: Path) -> None:
    """``qemu-img check`` has nothing to say of an image."""
    done = subprocess.run(
        ["qemu-img", "check", "-f", "qcow2", file],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_with_ram_it_goes_on_in_the_same_qemu(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    pid = vm.row()["pid"]
    vm.write(1)
    vm.snapshot("s1")
    vm.write(2)
    vm.snapshot("s2")
    vm.write(3)
    for name, pattern in (("s1", 1), ("s2", 2), ("s1", 1)):
        done = vm.revert(name)
        assert done["qemu"] == "same"
        assert done["state"] == "running"
        assert done["pid"] == vm.row()["pid"] == pid
        assert vm.holds(pattern)
        assert vm.current == name
        vm.write(9)
    vm.ok("quit", vm.name)
    assert vm.holds(9)
    # In a new one, and so as to the disks alone.
    done = vm.revert("s2")
    assert done["qemu"] == "new"
    assert vm.row()["state"] == done["state"] == "running"
    assert vm.holds(2)
    done = vm.revert("s1", "--no-ram")
    assert (done["qemu"], done["ram"]) == (None, False)
    assert vm.state == "stopped"
    assert vm.holds(1)


def test_it_is_as_it_was_running_or_paused(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.snapshot("ran")
    vm.ok("pause", vm.name)
    vm.snapshot("stood")
    assert vm.revert("ran")["state"] == "running"
    assert vm.revert("stood")["state"] == "paused"
    before = vm.events()
    assert vm.revert("stood")["state"] == "paused"
    assert "RESUME" not in vm.events()[len(before) :]
    assert vm.revert("ran")["state"] == "running"
    vm.ok("quit", vm.name)
    assert vm.revert("stood")["state"] == "paused"
    assert vm.state == "paused"
    assert "RESUME" not in vm.events()


def test_disks_alone_end_qemu_first(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("s1")
    vm.write(2)
    vm.ok("start", vm.name)
    refused = vm.home("snapshot", "revert", vm.name, "s1")
    assert refused.rc == 2
    assert "end its QEMU: not without --yes" in refused.err
    assert vm.state == "running"
    assert vm.holds(2)
    done = vm.revert("s1")
    assert (done["state"], done["qemu"]) == ("stopped", None)
    assert vm.holds(1)
    vm.write(2)
    done = vm.revert("s1", "--start")
    assert done["state"] == "running"
    assert done["pid"] == vm.row()["pid"]
    assert vm.holds(1)
    lines = vm.paths.history.read_text().splitlines()
    log = [json.loads(line) for line in lines]
    assert [entry["action"] for entry in log[-2:]] == [
        "snapshot revert",
        "start",
    ]
    assert [entry["action"] for entry in log].count("exit") == 1


def test_every_snapshot_of_either_kind_has_its_content(vm: "Machine") -> None:
    """Ten of them, in one line and with branches; each is gone back to."""
    held: dict[str, int] = {}

    def take(name: str, *options: str) -> None:
        held[name] = len(held) + 1
        vm.write(held[name])
        vm.snapshot(name, *options)

    take("off-internal")
    take("off-external", "--external")
    take("off-again")
    vm.ok("start", vm.name)
    take("ram")
    take("external", "--external")
    take("ram-above")
    take("both", "--external", "--ram")
    take("last")
    vm.revert("external")
    vm.ok("start", vm.name)
    take("branch")
    vm.revert("ram-above")
    take("branch-external", "--external")
    vm.write(99)
    with_ram = {"ram", "ram-above", "both", "last", "branch"}
    for name in (*held, "external", "ram", "off-internal"):
        done = vm.revert(name)
        assert vm.holds(held[name]), name
        assert done["ram"] == (name in with_ram)
        assert vm.alive == (name in with_ram), name
        vm.write(99)
    vm.home("quit", vm.name)
    for file in vm.paths.directory.glob("*.qcow2"):
        check(file)
    listed = vm.ok("snapshot", "list", vm.name, "-f", "json").json
    assert not [row for row in listed if row["problem"]]
    assert [r["name"] for r in listed if r["current"]] == ["off-internal"]
    # What was needed only between two of them is gone.
    named = {file.name for file in vm.images.values()}
    named |= {layer.file for layer in store.load(vm.paths).layers}
    assert vm.files == named


def test_what_an_overlay_stands_on_is_never_written(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("inside")
    vm.write(2)
    vm.snapshot("below", "--external")
    vm.write(3)
    frozen = {file.name: file.read_bytes() for file in _below(vm)}
    assert sorted(frozen) == ["disk0.qcow2", "disk1.qcow2"]
    said = vm.ok("snapshot", "revert", vm.name, "inside", "--yes").err
    assert "copies disk0.qcow2, disk1.qcow2" in said
    assert vm.holds(1)
    assert _tags(vm) == set()
    vm.write(4)
    vm.revert("below")
    assert vm.holds(2)
    vm.write(5)
    for name, content in frozen.items():
        assert (vm.paths.directory / name).read_bytes() == content


def test_a_linked_clone_keeps_what_it_stands_on(
    vm: "Machine", machine: "Callable[..., Machine]"
) -> None:
    vm.write(1)
    vm.snapshot("s1")
    vm.write(2)
    vm.ok("clone", vm.name, "clone")
    clone = type(vm)(vm.home, "clone")
    try:
        assert clone.holds(2)
        vm.write(3)
        vm.revert("s1")
        assert vm.holds(1)
        assert clone.holds(2)
    finally:
        vm.ok("delete", "clone", "--yes")


def test_another_machine_goes_on_in_a_new_qemu(vm: "Machine") -> None:
    """RAM of another size would end a load half-way."""
    vm.ok("start", vm.name)
    vm.write(1)
    vm.snapshot("s1")
    vm.ok("set", vm.name, "machine.memory_mib=96")
    vm.ok("quit", vm.name)
    vm.ok("start", vm.name)
    vm.write(2)
    pid = vm.row()["pid"]
    done = vm.home("snapshot", "revert", vm.name, "s1", "--yes")
    assert done.rc == 0, done.err
    assert "in a new QEMU: the machine was another (no more size=64M" in (
        done.err
    )
    assert "machine.memory_mib: 96 → 64, as it was then" in done.err
    assert vm.row()["pid"] != pid
    assert vm.row()["memory_mib"] == 64
    assert vm.holds(1)
    assert vm.state == "running"


def test_a_device_that_was_taken_out_is_there_again(
    machine: "Callable[..., Machine]",
) -> None:
    device = "virtio-rng-pci,rng=rng0,id=more,bus=rp5"
    vm = machine(
        *("--disk", "8M", "--qemu-arg=-device", f"--qemu-arg={device}")
    )
    vm.ok("start", vm.name)
    vm.write(1, "disk0")
    vm.snapshot("s1")
    vm.write(2, "disk0")
    vm.qmp("device_del", id="more")
    vm.qmp("system_reset")  # there is no guest that would let go of it
    end = time.monotonic() + 60
    while "more" in (has := _devices(vm)):
        assert time.monotonic() < end, has
        time.sleep(0.1)
    said = vm.ok("snapshot", "revert", vm.name, "s1", "--yes").err
    assert "in a new QEMU: it had other devices (more)" in said
    assert "more" in _devices(vm)
    assert vm.holds(1, "disk0")
    assert vm.state == "running"


def _devices(vm: "Machine") -> set[str]:
    found = vm.qmp("qom-list", path="/machine/peripheral")
    return {each["name"] for each in found}


def _below(vm: "Machine") -> list[Path]:
    """What today's images stand on."""
    named = [
        header.read(file).backing_file  # type: ignore[union-attr]
        for file in vm.images.values()
    ]
    return [vm.paths.directory / (name or "") for name in named]


def _tags(vm: "Machine") -> set[str]:
    return {
        tag.name
        for file in vm.images.values()
        for tag in snapshot_table.read(file)
    }
