"""Overlays on the disks of a VM that somebody else started."""

from collections.abc import Callable
from pathlib import Path

from tests.functional.strangers import Stranger

Start = Callable[..., Stranger]


def test_only_if_its_owner_knows(stranger: Start) -> None:
    vm = stranger()
    words = ("snapshot", "create", vm.ref, "s1", "--external")
    refused = vm.refused(*words)
    assert "changes the active layer" in refused
    assert "--owner-knows" in refused
    shown = vm.ok(*words, "--owner-knows", "--dry-run").out
    assert "blockdev-snapshot-sync" in shown
    assert not list(vm.directory.glob("*.s1.qcow2"))
    vm.as_guest("write -P 1 0 64k")
    done = vm.ok(*words, "--owner-knows")
    files = {
        disk: vm.directory / f"{name}.s1.qcow2"
        for disk, name in (("virtio0", "a"), ("ide0-hd0", "b"))
    }
    assert done.out == "".join(f"{d}: {f}\n" for d, f in files.items())
    assert "its next start must use" in done.err
    vm.as_guest("write -P 2 0 64k")
    listed = [
        Path(row["file"])
        for row in vm.json("disk", "list", vm.ref)
        if row["disk"] == "virtio0"
    ]
    below = [vm.directory / "a.qcow2", vm.directory / "base.qcow2"]
    assert listed == [files["virtio0"], *below]
    assert vm.status == "running"
    vm.ok("quit", vm.ref)
    # What was printed starts it; what it stands on is what it was.
    again = Stranger(
        vm.foreign,
        *("-drive", f"file={files['virtio0']},if=virtio"),
        *("-drive", "file=a.qcow2,if=virtio,readonly=on,format=qcow2"),
    )
    assert again.holds(2)
    assert again.holds(1, disk="virtio1")


def test_a_file_that_is_there_is_never_emptied(stranger: Start) -> None:
    vm = stranger()
    words = ("snapshot", "create", vm.ref, "s1", "--external", "--owner-knows")
    other = vm.directory / "b.s1.qcow2"
    other.write_text("precious")
    refused = vm.refused(*words)
    assert f"{other} is there already" in refused
    assert other.read_text() == "precious"
    assert not (vm.directory / "a.s1.qcow2").exists()
    made = vm.json(*words, "--disk", "virtio0")
    assert made["files"] == {"virtio0": str(vm.directory / "a.s1.qcow2")}
    assert made["kind"] == "external"


def test_what_fails_leaves_no_file(stranger: Start) -> None:
    vm = stranger()
    words = ("snapshot", "create", vm.ref, "--external", "--owner-knows")
    for option in ("--ram", "--quiesce"):
        assert "instances of yours" in vm.refused(*words, option)
    vm.refused(*words, "--disk", "nix", rc=3)
    assert vm.status == "running"
    assert not list(vm.directory.glob("*.overlay.qcow2"))
