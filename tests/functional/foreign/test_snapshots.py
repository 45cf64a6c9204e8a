"""Internal snapshots of a VM that somebody else started."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.functional.by_hand import Foreign
from tests.functional.strangers import Stranger, image
from tests.functional.until import until

Start = Callable[..., Stranger]


def names(vm: Stranger) -> list[str]:
    return [row["name"] for row in vm.json("snapshot", "list", vm.ref)]


def test_there_and_back(stranger: Start) -> None:
    vm = stranger()
    assert names(vm) == []
    vm.as_guest("write -P 1 0 64k")
    vm.as_guest("write -P 1 0 64k", "ide0-hd0")
    made = vm.json("snapshot", "create", vm.ref, "s1", "-m", "a comment")
    assert (made["name"], made["ram"], made["kind"]) == (
        *("s1", True, "internal"),
    )
    assert made["disks"] == ["virtio0", "ide0-hd0"]
    assert made["ram_bytes"] > 100_000
    assert vm.status == "running"
    assert vm.json("snapshot", "create", vm.ref)["name"] == "s2"
    [row, other] = vm.json("snapshot", "list", vm.ref)
    assert (row["name"], row["comment"], row["ours"]) == (
        *("s1", "a comment", False),
    )
    assert row["ram_bytes"] == made["ram_bytes"]
    assert (row["problem"], other["name"]) == ("", "s2")
    shown = vm.json("snapshot", "show", vm.ref, "s1")
    assert shown["layers"][0]["file"] == str(vm.directory / "a.qcow2")
    vm.as_guest("write -P 2 0 64k")
    vm.as_guest("write -P 2 0 64k", "ide0-hd0")
    asked = vm.refused("snapshot", "revert", vm.ref, "s1", rc=2)
    assert "lose what its guest has done since" in asked
    vm.ok("snapshot", "revert", vm.ref, "s1", "--yes")
    assert vm.status == "running"
    assert vm.holds(1)
    assert vm.holds(1, disk="ide0-hd0")
    vm.ok("pause", vm.ref)
    vm.ok("snapshot", "revert", vm.ref, "s1", "--yes")
    assert vm.status == "paused"
    vm.ok("snapshot", "delete", vm.ref, "s1", "s2", "--yes")
    assert names(vm) == []
    assert vm.qmp("query-jobs") == []


def test_a_dry_run_changes_nothing(stranger: Start) -> None:
    vm = stranger()
    planned = vm.ok("snapshot", "create", vm.ref, "s1", "--dry-run").out
    assert '"execute": "snapshot-save"' in planned
    assert names(vm) == []
    vm.ok("snapshot", "create", vm.ref, "s1")
    for word in ("revert", "delete"):
        vm.ok("snapshot", word, vm.ref, "s1", "--dry-run")
    assert names(vm) == ["s1"]


def test_what_others_made_is_named_and_kept(stranger: Start) -> None:
    vm = stranger()
    said = {"command-line": "savevm ../../other"}
    vm.qmp("human-monitor-command", **said)
    assert names(vm) == ["../../other"]
    # QEMU that runs has made it: it fits.
    vm.ok("snapshot", "revert", vm.ref, "../../other", "--yes")
    vm.refused("snapshot", "create", vm.ref, "other/x", rc=2)
    assert names(vm) == ["../../other"]
    vm.ok("snapshot", "delete", vm.ref, "../../other", "--yes")
    assert names(vm) == []


def test_names_that_are_taken_or_none(stranger: Start) -> None:
    vm = stranger()
    vm.ok("snapshot", "create", vm.ref, "s1")
    taken = vm.refused("snapshot", "create", vm.ref, "s1")
    assert "has a snapshot 's1' already" in taken
    assert names(vm) == ["s1"]
    for words, hint in (
        (("revert", "other"), "it has s1"),
        (("delete", "s1", "s11"), "did you mean s1?"),
    ):
        word, *which = words
        told = vm.refused("snapshot", word, vm.ref, *which, "--yes", rc=3)
        assert hint in told
    vm.refused("snapshot", "delete", vm.ref, rc=2)
    vm.refused("snapshot", "show", vm.ref, "s9", rc=3)
    for option in (("--quiesce",), ("--ram",), ("--disk", "virtio0")):
        vm.refused("snapshot", "create", vm.ref, "s2", *option, rc=2)
    assert names(vm) == ["s1"]
    assert vm.status == "running"


def test_a_raw_disk_forbids_it(foreign: Foreign, stranger: Start) -> None:
    raw = foreign.directory / "c.raw"
    raw.write_bytes(bytes(1 << 20))
    vm = stranger("-drive", "file=c.raw,format=raw,if=virtio")
    refused = vm.refused("snapshot", "create", vm.ref, "s1")
    assert "virtio1 is raw" in refused
    assert names(vm) == []


def test_not_on_all_disks(foreign: Foreign, stranger: Start) -> None:
    vm = stranger()
    nodes = [row["node"] for row in vm.json("disk", "list", vm.ref)]
    saved = {"job-id": "j", "tag": "half", "vmstate": nodes[0]}
    vm.qmp("snapshot-save", devices=[nodes[0]], **saved)
    until(
        lambda: (
            [job["status"] for job in vm.qmp("query-jobs")] == ["concluded"]
        )
    )
    [row] = vm.json("snapshot", "list", vm.ref)
    assert row["problem"] == "not on ide0-hd0"
    refused = vm.refused("snapshot", "revert", vm.ref, "half", "--yes")
    assert "its disks would be of different days" in refused
    assert vm.status == "running"


def test_bitmaps_forbid_a_load(stranger: Start) -> None:
    vm = stranger()
    vm.ok("snapshot", "create", vm.ref, "s1")
    node = vm.json("disk", "list", vm.ref)[0]["node"]
    vm.qmp("block-dirty-bitmap-add", node=node, name="b0")
    refused = vm.refused("snapshot", "revert", vm.ref, "s1", "--yes")
    assert "b0 of virtio0" in refused
    assert vm.status == "running"


def test_one_without_ram_needs_the_owner(
    foreign: Foreign, stranger: Start
) -> None:
    directory = foreign.directory
    for name in ("a", "b"):
        file = directory / f"{name}.qcow2"
        image(file)
        words = ["qemu-img", "snapshot", "-c", "cold", str(file)]
        subprocess.run(words, check=True)
    image(directory / "base.qcow2")
    vm = stranger()
    [row] = vm.json("snapshot", "list", vm.ref)
    assert (row["ram"], row["problem"]) == (False, "")
    refused = vm.refused("snapshot", "revert", vm.ref, "cold", "--yes")
    assert "has no RAM" in refused
    assert "qemu-img snapshot -a cold" in refused
    for option in ("--no-ram", "--start", "--stash"):
        told = vm.refused(
            *("snapshot", "revert", vm.ref, "cold", "--yes", option), rc=2
        )
        assert f"{option} is for instances of yours" in told
    assert vm.status == "running"


def test_one_of_another_machine(stranger: Start) -> None:
    """What was plugged in since would be in the dark."""
    vm = stranger("-device", "virtio-scsi-pci,id=scsi")
    vm.ok("snapshot", "create", vm.ref, "s1")
    vm.qmp("device_add", driver="scsi-cd", id="cd", bus="scsi.0")
    refused = vm.refused("snapshot", "revert", vm.ref, "s1", "--yes")
    assert "with /machine/peripheral/cd (scsi-cd)" in refused
    assert vm.status == "running"


def test_one_of_an_older_qemu(stranger: Start) -> None:
    vm = stranger()
    vm.as_guest("write -P 1 0 64k")
    vm.ok("snapshot", "create", vm.ref, "s1")
    vm.as_guest("write -P 2 0 64k")
    vm.ok("quit", vm.ref)
    again = stranger()
    refused = again.refused("snapshot", "revert", again.ref, "s1", "--yes")
    assert "is older than its QEMU" in refused
    again.ok("snapshot", "revert", again.ref, "s1", "--yes", "--owner-knows")
    assert again.holds(1)
    assert again.status == "running"


def test_a_load_that_fails_half_way_never_goes_on(stranger: Start) -> None:
    vm = stranger()
    vm.as_guest("write -P 1 0 64k")
    vm.ok("snapshot", "create", vm.ref, "s1")
    vm.as_guest("write -P 2 0 64k")
    vm.ok("quit", vm.ref)
    other = stranger("-smp", "2")
    result = other.refused(
        *("snapshot", "revert", other.ref, "s1", "--yes", "--owner-knows"),
        rc=5,
    )
    assert "the disks of" in result
    assert f"'qemu quit {other.ref}'" in result
    assert other.status != "running"
    assert "never resume it" in result
    other.refused("resume", other.ref)
    assert other.status != "running"
    other.ok("quit", other.ref)


def test_one_that_is_killed_meanwhile_is_cleared_up(stranger: Start) -> None:
    vm = stranger()
    vm.ok("snapshot", "create", vm.ref, "s1")
    os.kill(vm.pid, signal.SIGSTOP)
    try:
        told = vm.refused("snapshot", "create", vm.ref, "s2")
        assert "SIGSTOP" in told or "stopped" in told
        assert "stopped" in vm.refused("disk", "list", vm.ref)
    finally:
        os.kill(vm.pid, signal.SIGCONT)
    assert names(vm) == ["s1"]
    vm.ok("quit", vm.ref)
    # What we had noted of it goes with it.
    notes = vm.home.paths.foreign
    assert any(Path(notes).rglob("*.json"))
    next_one = stranger()
    next_one.ok("snapshot", "list", next_one.ref)
    assert not any(Path(notes).rglob("*.json"))


def test_a_job_or_an_export_comes_first(stranger: Start) -> None:
    vm = stranger()
    vm.ok("snapshot", "create", vm.ref, "s1")
    node = vm.json("disk", "list", vm.ref)[0]["node"]
    path = str(vm.directory / "nbd")
    vm.qmp("nbd-server-start", addr={"type": "unix", "data": {"path": path}})
    vm.qmp(*("block-export-add",), type="nbd", id="e", **{"node-name": node})
    for words in (("create", "s2"), ("revert", "s1"), ("delete", "s1")):
        word, name = words
        yes = () if word == "create" else ("--yes",)
        told = vm.refused("snapshot", word, vm.ref, name, *yes, rc=6)
        assert "is being exported (e)" in told
