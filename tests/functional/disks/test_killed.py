"""Commands that change a disk are killed: either all of it is, or nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.functional.disks.conftest import MIB, run_tool
from tests.functional.killing import moments

if TYPE_CHECKING:
    from tests.functional.disks.conftest import DiskVM

    Make = Callable[..., "DiskVM"]

COMMANDS = {
    "add": ("disk", "add", "{vm}", "8M"),
    "remove": ("disk", "remove", "{vm}", "disk1", "--delete-file", "--yes"),
    "resize": ("disk", "resize", "{vm}", "disk0", "+1M"),
    "throttle": ("disk", "throttle", "{vm}", "disk0", "--iops", "50"),
    "insert": ("cdrom", "insert", "{vm}", "{cd}"),
    "eject": ("cdrom", "eject", "{vm}"),
}


def world(vm: "DiskVM") -> dict[str, Any]:
    """The disks of a running VM, which its definition has to agree with."""
    blocks = {
        block["qdev"].split("/")[3]
        if block["qdev"].startswith("/")
        else block["qdev"]: block.get("inserted", {})
        for block in vm.qmp("query-block")
    }
    definition = vm.definition
    for disk in definition["disks"]:
        seen = blocks.pop(disk["id"])
        assert Path(seen["image"]["filename"]) == vm.image(disk["id"])
        assert seen["iops"] == disk.get("throttle", {}).get("iops", 0)
    (cd,) = definition["cdroms"]
    assert blocks.pop("cdrom0").get("image", {}).get("filename") == (
        cd.get("file")
    )
    assert not blocks
    files = {file.name for file in vm.directory.glob("*.qcow2")}
    return {
        "disks": [disk["id"] for disk in definition["disks"]],
        "files": files,
        "size": vm.layers()[0]["virtual_size_bytes"],
        "iops": definition["disks"][0].get("throttle"),
        "cd": cd.get("file"),
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_between_every_two_steps(
    machine: "Make", tmp_path: Path, name: str
) -> None:
    cds = tmp_path / "1.iso", tmp_path / "2.iso"
    for cd in cds:
        cd.write_bytes(bytes(MIB))
    vm = machine(
        *("--disk", "8M", "--disk", "8M,bus=scsi", "--cdrom", cds[0]),
        start=True,
    )
    vm.write(1, "0 8M")
    words = [word.format(vm=vm.name, cd=cds[1]) for word in COMMANDS[name]]
    kills = 0
    outcomes = []
    for when, index in moments():
        before = world(vm)
        if not vm.killed_in(when, index, *words):
            break
        kills += 1
        said = vm.ok("set", "config.lock.timeout=9s").err
        after = world(vm)
        outcomes.append(after != before)
        assert outcomes[-1] <= ("had been interrupted" in said), said
        assert vm.qmp("query-jobs") == []
        assert not list(vm.home.paths.pending.iterdir())
        assert vm.holds(1, "0 8M")
        if outcomes[-1]:
            undo(vm, name, cds[0])
    assert kills >= 2
    assert world(vm) != before
    vm.ok("quit")
    for file in vm.directory.glob("*.qcow2"):
        run_tool("qemu-img", "check", file)


def undo(vm: "DiskVM", name: str, cd: Path) -> None:
    """Make it as it was, for the next kill."""
    match name:
        case "add":
            vm.ok("quit")
            vm.ok("disk remove", "disk2", "--delete-file", "--yes")
            vm.ok("start")
        case "remove":
            vm.ok("disk add", "8M,bus=scsi")
        case "throttle":
            vm.ok("disk throttle", "disk0", "--off")
        case "insert" | "eject":
            vm.ok("cdrom insert", cd)
