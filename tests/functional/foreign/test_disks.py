"""The disks of a VM that somebody else started."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.functional.by_hand import Foreign, free_port, qmp
from tests.functional.strangers import Stranger, image
from tests.functional.until import until

Start = Callable[..., Stranger]


def listed(vm: Stranger, ref: str = "") -> list[tuple[Any, ...]]:
    rows = vm.json("disk", "list", ref or vm.ref)
    return [
        (row["disk"], row["depth"], row["file"] and Path(row["file"]).name)
        for row in rows
    ]


EXPECTED = [
    ("virtio0", 0, "a.qcow2"),
    ("virtio0", 1, "base.qcow2"),
    ("ide0-hd0", 0, "b.qcow2"),
    ("ide1-cd0", 0, None),
    ("floppy0", 0, None),
]


def test_whole_chains_of_drives_without_names(stranger: Start) -> None:
    vm = stranger()
    assert listed(vm) == EXPECTED
    assert listed(vm, f"qmp:{vm.socket}") == EXPECTED
    rows = vm.json("disk", "list", vm.ref)
    # Relative names are those of QEMU's directory, not of ours.
    assert rows[0]["file"] == str(vm.directory / "a.qcow2")
    assert rows[0]["node"].startswith("#block")
    assert rows[0]["virtual_size_bytes"] == 8 << 20
    assert [row["kind"] for row in rows[2:]] == ["disk", "cdrom", "floppy"]
    assert [row["problem"] for row in rows[2:]] == [None, "empty", "empty"]
    info = vm.json("disk", "info", vm.ref, "virtio0")
    assert [each["format"] for each in info["chain"]] == ["qcow2", "qcow2"]
    assert info["read_only"] is False
    assert "did you mean virtio0" in vm.refused(
        *("disk", "info", vm.ref, "virtio1"), rc=3
    )
    table = vm.ok("disk", "list", vm.ref).out
    assert f"└ {vm.directory}/base.qcow2" in table


def test_names_that_people_gave(foreign: Foreign, stranger: Start) -> None:
    directory = foreign.directory
    for name in ("c", "d", "e"):
        image(directory / f"{name}.qcow2")
    vm = stranger(
        *("-drive", "file=c.qcow2,if=none,id=loose"),
        *("-drive", "file=d.qcow2,if=none,id=backend,readonly=on"),
        *("-device", "virtio-blk-pci,drive=backend,id=given"),
        "-blockdev",
        "qcow2,node-name=n,file.driver=file,file.filename=e.qcow2",
        *("-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=n,id=sd"),
    )  # fmt: skip
    rows = {row["disk"]: row for row in vm.json("disk", "list", vm.ref)}
    assert rows["loose"]["problem"] == "no device uses it"
    assert rows["given"]["read_only"] is True
    assert rows["sd"]["node"] == "n"
    assert Path(rows["sd"]["file"]).name == "e.qcow2"


def test_over_tcp(stranger: Start) -> None:
    port = free_port()
    vm = stranger(monitor=f"tcp::{port},server=on,wait=off")
    until(lambda: vm.home("show", f"qmp:localhost:{port}").rc == 0)
    assert listed(vm, f"qmp:localhost:{port}") == EXPECTED
    assert listed(vm) == EXPECTED


def test_a_daemonized_one_has_left_its_directory(
    foreign: Foreign, stranger: Start
) -> None:
    vm = stranger("-daemonize")
    pid = int((foreign.directory / "pid").read_text())
    try:
        rows = vm.json("disk", "list", f"pid:{pid}")
        # Its PWD is not where it was started: nobody can tell.
        assert rows[0]["file"] == "a.qcow2"
    finally:
        vm.ok("kill", f"pid:{pid}")


def test_larger_while_it_runs(stranger: Start) -> None:
    vm = stranger()
    shown = vm.ok("disk", "resize", vm.ref, "virtio0", "+1M", "--dry-run")
    assert "block_resize" in shown.out
    done = vm.json("disk", "resize", vm.ref, "virtio0", "+1M")
    assert done["new_size_bytes"] == 9 << 20
    rows = vm.json("disk", "list", vm.ref)
    assert rows[0]["virtual_size_bytes"] == 9 << 20
    assert rows[1]["virtual_size_bytes"] == 8 << 20
    smaller = vm.refused("disk", "resize", vm.ref, "virtio0", "1M", "--shrink")
    assert "can't shrink while its guest uses it" in smaller
    assert "can't be written to" in vm.refused(
        "disk", "resize", vm.ref, "ide1-cd0", "+1M"
    )
    vm.ok("quit", vm.ref)
    told = subprocess.run(
        ["qemu-img", "info", "--output=json", vm.directory / "a.qcow2"],
        check=True,
        capture_output=True,
    )
    assert json.loads(told.stdout)["virtual-size"] == 9 << 20


def test_a_vm_without_disks(foreign: Foreign) -> None:
    path = foreign.directory / "q.sock"
    pid = foreign.start(*qmp(path), ready=path)
    listed = foreign.home("disk", "list", f"pid:{pid}", "-f", "json")
    assert (listed.rc, listed.json) == (0, [])
    refused = foreign.home("snapshot", "create", f"pid:{pid}", "s1")
    assert refused.rc == 4
    assert "has no disk that a snapshot could be taken of" in refused.err
