"""qemu snapshot create: everything is in it, or nothing was done."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qemu_cli.instance.snapshots import store
from qemu_cli.instance.snapshots.store import Snapshot

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

    Make = Callable[..., "Machine"]

TIMEOUT_S = 60.0


def tree(vm: "Machine") -> store.Tree:
    return store.load(vm.paths)


def only(vm: "Machine") -> Snapshot:
    (snapshot,) = tree(vm).snapshots
    return snapshot


def tags(vm: "Machine", disk: str = "disk0") -> dict[str, int]:
    """The internal snapshots of an active layer, and their RAM's sizes."""
    said = subprocess.check_output(
        ["qemu-img", "info", "-U", "--output=json", vm.images[disk]]
    )
    snapshots = json.loads(said).get("snapshots", [])
    return {each["name"]: each["vm-state-size"] for each in snapshots}


def sound(vm: "Machine") -> None:
    """``qemu-img check`` has nothing to say of any image in there.

    QEMU is ended: it writes some of its tables only then.
    """
    if vm.state != "stopped":
        vm.ok("quit", vm.name)
    for file in vm.paths.directory.glob("*.qcow2"):
        done = subprocess.run(
            ["qemu-img", "check", "-f", "qcow2", file],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def read(image: Path, pattern: int) -> bool:
    """Whether an image begins with this, whoever has it open."""
    done = subprocess.run(
        ["qemu-io", "-r", "-U", "-c", f"read -P {pattern} 0 64k", image],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert "read 65536/65536" in done.stdout, done.stderr
    return "verification failed" not in done.stdout


def refused(vm: "Machine", *words: str) -> str:
    """Why no snapshot is taken; nothing must have been done."""
    files = vm.files
    before = tree(vm)
    result = vm.home("snapshot", "create", vm.name, *words)
    assert result.rc in (2, 3, 4, 6), result.err
    assert tree(vm) == before
    assert vm.files == files
    return result.err


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
