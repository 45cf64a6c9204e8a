"""qemu snapshot create: everything is in it, or nothing was done."""

import json
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

from qemu_cli.instance.snapshots import store
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


def test_internal_of_a_stopped_vm(vm: "Machine") -> None:
    vm.write(1)
    said = vm.snapshot("-m", "as it was installed")
    assert said.err == f"{vm.name}: snapshot 's1' (internal)\n"
    snapshot = only(vm)
    assert (snapshot.name, snapshot.key) == ("s1", "s1")
    assert snapshot.comment == "as it was installed"
    assert snapshot.memory is None
    assert [layer.id for layer in snapshot.layers] == ["disk0", "disk1"]
    assert tags(vm) == tags(vm, "disk1") == {"s1": 0}
    kept = vm.paths.snapshot_definition("s1").read_text()
    assert kept == vm.paths.definition.read_text()
    assert tree(vm).current == "s1"
    sound(vm)


def test_internal_of_a_running_vm(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    made = vm.snapshot("with-ram", "-f", "json").json
    assert made["ram_bytes"] > 100_000
    assert made["seconds"] > 0
    assert made["disks"] == ["disk0", "disk1"]
    assert tags(vm) == {"with-ram": made["ram_bytes"]}
    assert tags(vm, "disk1") == {"with-ram": 0}
    assert vm.state == "running"
    assert [e for e in vm.events() if e in ("STOP", "RESUME")] == [
        *("STOP", "RESUME")
    ]
    vm.ok("pause", vm.name)
    vm.snapshot("paused")
    assert vm.state == "paused"
    first, second = tree(vm).snapshots
    assert first.memory
    assert second.memory
    assert (first.memory.running, second.memory.running) == (True, False)
    assert second.parent == first.key
    assert vm.qmp("query-jobs") == []
    sound(vm)


def test_external_of_a_running_vm(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.write(1)
    vm.snapshot("--external", "e1")
    vm.write(2)
    vm.snapshot("--external", "e2")
    vm.write(3)
    directory = vm.paths.directory
    assert vm.files == {
        f"disk{disk}{layer}.qcow2"
        for disk in "01"
        for layer in ("", ".1", ".2")
    }
    assert read(directory / "disk0.qcow2", 1)
    assert read(directory / "disk1.1.qcow2", 2)
    files = [[layer.file for layer in s.layers] for s in tree(vm).snapshots]
    assert files == [
        ["disk0.qcow2", "disk1.qcow2"],
        ["disk0.1.qcow2", "disk1.1.qcow2"],
    ]
    # Inside of an overlay there is room for an internal one.
    vm.snapshot("i3")
    assert "i3" in tags(vm)
    # The next QEMU writes to the same overlays.
    vm.ok("quit", vm.name)
    vm.ok("start", vm.name)
    assert vm.holds(3)
    vm.snapshot("--external", "e4")
    vm.write(4)
    assert vm.images["disk0"].name == "disk0.3.qcow2"
    assert read(directory / "disk0.2.qcow2", 3)
    sound(vm)


def test_external_with_the_ram(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.write(1)
    made = vm.snapshot("--external", "--ram", "e1", "-f", "json").json
    assert made["kind"] == "external"
    assert made["ram_bytes"] > 100_000
    ram = vm.paths.snapshot_ram("e1")
    assert ram.stat().st_mode & 0o777 == 0o600
    assert ram.stat().st_size > 100_000
    assert vm.state == "running"
    assert vm.events().count("STOP") == vm.events().count("RESUME") == 1
    vm.write(2)
    assert read(vm.paths.directory / "disk0.qcow2", 1)
    memory = only(vm).memory
    assert memory
    assert memory.running
    vm.snapshot("i2")
    vm.snapshot("--external", "--ram", "e3")
    vm.ok("pause", vm.name)
    assert "is paused" in refused(vm, "--external", "--ram")
    assert vm.state == "paused"
    sound(vm)


def test_external_of_a_stopped_vm(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("--external", "e1")
    vm.write(2)
    assert read(vm.paths.directory / "disk0.qcow2", 1)
    said = subprocess.check_output(
        ["qemu-img", "info", "--output=json", vm.images["disk0"]]
    )
    assert json.loads(said)["backing-filename"] == "./disk0.qcow2"
    vm.ok("start", vm.name)
    assert vm.holds(2)


def test_some_disks(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.write(1)
    vm.snapshot("--external", "--disk", "disk1")
    vm.write(2)
    assert [layer.id for layer in only(vm).layers] == ["disk1"]
    assert {d: f.name for d, f in vm.images.items()} == {
        "disk0": "disk0.qcow2",
        "disk1": "disk1.1.qcow2",
    }
    assert read(vm.paths.directory / "disk1.qcow2", 1)
    assert "has no disk 'disk9'" in refused(vm, "--external", "--disk=disk9")


def test_uefi(machine: "Make") -> None:
    """The variables take part, whatever they are stored in."""
    vm = machine("--disk", "8M", "--firmware", "uefi")
    vm.snapshot("i1")
    vm.ok("start", vm.name)
    vm.snapshot("i2")
    vm.snapshot("--external", "e3")
    vm.snapshot("--external", "--ram", "e4")
    vm.snapshot("i5")
    assert vm.images["nvram"].name == "nvram.2.qcow2"
    assert set(tags(vm, "nvram")) == {"i5"}
    assert [s.layer("nvram").file for s in tree(vm).snapshots] == [  # type: ignore[union-attr]
        *("nvram.qcow2",) * 3,
        *("nvram.1.qcow2", "nvram.2.qcow2"),
    ]
    vm.ok("quit", vm.name)
    vm.snapshot("--external", "e6")
    vm.ok("start", vm.name)
    assert vm.state == "running"
    sound(vm)


def test_a_long_freeze_is_asked_about(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    short = ("-c", "snapshot.max-freeze=1ms")
    words = (*short, "snapshot", "create", vm.name)
    asked = vm.home(*words)
    assert asked.rc == 2
    assert "of RAM are to be written" in asked.err
    assert "hint: --external --ram" in asked.err
    assert "not without --yes" in asked.err
    assert tree(vm).snapshots == ()
    vm.ok(*words, "--external", "--ram")
    vm.ok(*words, "--yes")
    vm.ok("pause", vm.name)
    vm.ok(*words)  # it stands still already


def test_dry_run(vm: "Machine") -> None:
    for words in ((), ("--external",)):
        shown = vm.snapshot(*words, "--dry-run").out
        assert f"{vm.paths.snapshot_tree} <<" in shown
        assert ("create -q -f qcow2 -u -b" in shown) == bool(words)
    vm.ok("start", vm.name)
    assert '"snapshot-save"' in vm.snapshot("--dry-run").out
    shown = vm.snapshot("--external", "--ram", "--dry-run").out
    steps = [line for line in shown.splitlines() if "qmp" in line]
    order = ["blockdev-add"] * 2 + ["stop", "migrate", "transaction", "cont"]
    assert len(steps) == len(order)
    for step, word in zip(steps, order, strict=True):
        assert word in step
    assert tree(vm) == store.Tree()
    assert vm.files == {"disk0.qcow2", "disk1.qcow2"}


def test_as_a_bare_qemu_would_start_it(vm: "Machine") -> None:
    """What command.sh said is not what it says after an overlay."""
    vm.ok("start", vm.name)
    vm.snapshot("--external")
    vm.ok("quit", vm.name)
    vm.ok("start", vm.name)
    script = vm.paths.command.read_text()
    assert "disk0.1.qcow2" in script
