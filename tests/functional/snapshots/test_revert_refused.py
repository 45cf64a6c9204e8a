"""snapshot revert is refused: why is said, and nothing is changed."""

import json
import subprocess
from typing import TYPE_CHECKING, Any

from tests.functional.snapshots.checks import holding, small_disk
from tests.functional.snapshots.reverting import files, meddled, revert

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine


def test_somebody_is_at_the_disks(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("s1")
    vm.write(2)
    before = files(vm)
    with holding(vm.images["disk1"]) as pid:
        refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 6
    assert f"disk1.qcow2 is in use by qemu-io (pid {pid})" in refused.err
    assert files(vm) == before
    vm.ok("nbd-export", vm.name)
    refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 4
    assert f"'{vm.name}' is being exported" in refused.err
    vm.ok("export", "stop", vm.name)
    vm.ok("nbd-export", vm.name, "--snapshot", "s1")
    refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 4
    assert "the snapshot 's1'" in refused.err
    assert "is being exported" in refused.err
    vm.ok("export", "stop", vm.name)
    assert files(vm) == before
    vm.ok("start", vm.name)
    vm.ok("nbd-export", vm.name, "--live")
    refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 6
    assert "is being exported" in refused.err
    vm.ok("export", "stop", vm.name)
    vm.qmp("drive-backup", **_slow_backup(vm))
    refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 6
    assert "a job goes on" in refused.err
    assert "night" in refused.err
    vm.qmp("job-cancel", id="night")
    vm.ok("save", vm.name)
    refused = vm.home(*revert(vm, "s1"))
    assert refused.rc == 4
    assert "has a saved state" in refused.err
    vm.ok("start", vm.name)
    vm.revert("s1")
    assert vm.holds(1)


def _slow_backup(vm: "Machine") -> dict[str, Any]:
    target = vm.paths.directory / "backup.img"
    return {
        "job-id": "night",
        "device": "disk1",
        "target": str(target),
        "sync": "full",
        "speed": 1,
        "format": "raw",
    }


def test_what_is_missing_is_named(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("s1")
    vm.snapshot("e1", "--external")
    vm.ok("start", vm.name)
    vm.snapshot("e2", "--external", "--ram")
    vm.ok("quit", vm.name)
    below = vm.paths.directory / "disk1.qcow2"
    aside = below.rename(below.with_suffix(".aside"))
    for name in ("s1", "e1", "e2"):
        missing = vm.home(*revert(vm, name))
        assert missing.rc == 3, missing.err
        assert f"lacks a file: {below}" in missing.err
    aside.rename(below)
    ram = vm.paths.snapshot_ram("e2")
    aside = ram.rename(ram.with_suffix(".aside"))
    missing = vm.home(*revert(vm, "e2"))
    assert missing.rc == 3
    assert f"the RAM of the snapshot 'e2' is missing: {ram}" in missing.err
    assert vm.revert("e2", "--no-ram")["state"] == "stopped"
    aside.rename(ram)
    assert vm.revert("e2")["state"] == "running"
    missing = vm.home(*revert(vm, "e11"))
    assert missing.rc == 3
    assert "there is no snapshot 'e11'" in missing.err
    assert "did you mean 'e1'?" in missing.err
    assert vm.state == "running"


def test_a_ram_that_does_not_fit_is_not_loaded(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.write(1)
    vm.snapshot("s1")
    vm.snapshot("e1", "--external", "--ram")
    vm.write(2)
    pid = vm.row()["pid"]
    tree = vm.paths.snapshot_tree.read_text()
    newer = json.loads(tree)
    for each in newer["snapshots"]:
        each["memory"]["version"] = [99, 1, 2]
    vm.paths.snapshot_tree.write_text(json.dumps(newer))
    for name in ("s1", "e1"):
        refused = vm.home(*revert(vm, name))
        assert refused.rc == 4
        assert "it was taken by QEMU 99.1.2, and this is" in refused.err
        assert "--no-ram" in refused.err
    vm.paths.snapshot_tree.write_text(tree)
    assert vm.row()["pid"] == pid
    assert vm.state == "running"
    vm.ok("quit", vm.name)
    for name in ("s1", "e1"):
        kept = vm.paths.snapshot_definition(name)
        text = kept.read_text()
        kept.write_text(text.replace("memory_mib = 64", "memory_mib = 96"))
        refused = vm.home(*revert(vm, name))
        kept.write_text(text)
        assert refused.rc == 4
        assert "machine would be another (no more size=64M" in refused.err
    assert vm.holds(2)
    vm.ok("start", vm.name)
    # A file that is damaged: found out by QEMU, and taken back.
    ram = vm.paths.snapshot_ram("e1")
    content = ram.read_bytes()
    ram.write_bytes(content[: len(content) // 2])
    before = vm.files
    failed = vm.home(*revert(vm, "e1"))
    assert failed.rc == 5
    assert "the disks are as they were before" in failed.err
    assert vm.files == before
    assert vm.state == "stopped"
    assert vm.holds(2)
    ram.write_bytes(content)
    vm.revert("e1")
    assert vm.holds(1)


def test_no_room_for_a_copy(vm: "Machine") -> None:
    vm.write(1, where="0 2M")
    vm.snapshot("s1")
    vm.write(2, where="0 2M")
    vm.snapshot("e1", "--external")
    vm.write(3)
    with small_disk(vm, "32M"):
        before = files(vm)
        filler = vm.paths.directory / "filler"
        fill = f"dd if=/dev/zero of={filler} bs=64k 2>/dev/null; true"
        failed = meddled(vm, "Tool", fill, *revert(vm, "s1"))
        assert failed.returncode == 1
        assert "No space left on device" in failed.stderr
        assert files(vm) == before
        assert not vm.paths.journal.exists()
        refused = vm.home(*revert(vm, "s1"))
        assert refused.rc == 1
        assert "no room to go back: " in refused.err
        assert "have to be copied, and " in refused.err
        assert files(vm) == before
        assert vm.holds(3)
        filler.unlink()
        vm.revert("s1")
        assert vm.holds(1, where="0 2M")
        vm.revert("e1")
        assert vm.holds(2, where="0 2M")


def test_a_directory_that_can_not_be_written(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("s1")
    vm.snapshot("e1", "--external")
    vm.write(2)
    with small_disk(vm, "16M"):
        before = files(vm)
        mount = ["mount", "-o", "remount,ro", vm.paths.directory]
        subprocess.run(mount, check=True)
        for name in ("s1", "e1"):
            failed = vm.home(*revert(vm, name))
            assert failed.rc == 1
            assert "Read-only file system" in failed.err
        assert files(vm) == before
        mount[2] = "remount,rw"
        subprocess.run(mount, check=True)
        vm.revert("s1")
        assert vm.holds(1)
