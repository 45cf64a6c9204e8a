"""qemu disk list, add, remove, resize and throttle; qemu cdrom."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.disks.conftest import DiskVM

    Make = Callable[..., DiskVM]
    Image = Callable[..., Path]
    Tool = Callable[..., str]


MIB = 1 << 20


#: The formats of an output that is not for people.
FORMATS = ("json", "ndjson", "yaml", "csv", "value")


def test_list_shows_whole_chains(machine: "Make", base: Path) -> None:
    vm = machine("--image", base, "--disk", "4M,format=raw,bus=scsi")
    vm.stack()
    stopped = vm.layers()
    assert [Path(row["file"]).name for row in stopped] == [
        *("disk0.1.qcow2", "disk0.qcow2", "base.qcow2"),
    ]
    assert [row["depth"] for row in stopped] == [0, 1, 2]
    assert {row["virtual_size_bytes"] for row in stopped} == {8 * MIB}
    assert {row["node"] for row in stopped} == {None}
    (raw,) = vm.layers("disk1")
    assert (raw["format"], raw["bus"], raw["slot"]) == (
        *("raw", "scsi", "scsi0:0"),
    )
    vm.ok("start")
    running = vm.layers()
    assert [row["file"] for row in running] == [row["file"] for row in stopped]
    assert running[0]["node"] == "disk0"
    assert [row["read_only"] for row in running] == [False, True, True]
    named = {node["node-name"] for node in vm.qmp("query-named-block-nodes")}
    assert {row["node"] for row in running} <= named
    table = vm.ok("disk list").out
    assert "  └ disk0.qcow2" in table and f"└ {base}" in table
    for each in FORMATS:
        assert "disk0.1.qcow2" in vm.ok("disk list", "-f", each).out
    shown = vm.ok("disk info", "disk0", "-f", "json").json
    assert shown["node"] == "disk0" and len(shown["chain"]) == 3
    for each in FORMATS:
        assert "disk0.1.qcow2" in vm.ok("disk info", "disk0", "-f", each).out
    assert "did you mean disk" in vm.refused(3, "disk info", "disk9")


def test_list_says_what_is_missing_or_empty(
    machine: "Make", base: Path
) -> None:
    vm = machine("--image", base, "--cdrom", base)
    vm.ok("cdrom eject")
    base.rename(base.with_suffix(".gone"))
    top, missing = vm.layers()
    assert (top["problem"], missing["problem"]) == (None, "missing")
    assert missing["file"] == str(base)
    (empty,) = vm.layers("cdrom0")
    assert (empty["file"], empty["problem"]) == (None, "empty")
    for words in (
        ("disk flatten", "disk0"),
        ("disk move", "disk0", base.with_suffix(".new")),
    ):
        assert f"{base}: missing" in vm.refused(4, *words)


def test_resize(machine: "Make") -> None:
    vm = machine("--disk", "8M", start=True)
    vm.write(5, "0 8M")
    done = vm.ok("disk resize", "disk0", "+4M", "-f", "json").json
    assert (done["old_size_bytes"], done["new_size_bytes"]) == (
        *(8 * MIB, 12 * MIB),
    )
    assert vm.layers()[0]["virtual_size_bytes"] == 12 * MIB
    vm.write(6, "8M 4M")
    said = vm.refused(4, "disk resize", "disk0", "4M", "--shrink", "--yes")
    assert "can't shrink while its guest uses it" in said
    assert "already" in vm.refused(2, "disk resize", "disk0", "12M")
    assert "sectors" in vm.refused(2, "disk resize", "disk0", "12582913")
    vm.ok("quit")
    vm.ok("disk resize", "disk0", "16M")
    assert "--shrink" in vm.refused(1, "disk resize", "disk0", "8M")
    assert "--yes" in vm.refused(2, "disk resize", "disk0", "8M", "--shrink")
    vm.ok("disk resize", "disk0", "8M", "--shrink", "--yes")
    assert vm.layers()[0]["virtual_size_bytes"] == 8 * MIB
    assert vm.holds(5, "0 8M")


def test_what_can_not_be_resized(
    machine: "Make", tmp_path: Path, image: "Image", tool: "Tool"
) -> None:
    old = image(tmp_path / "old.qcow2", "-o", "compat=0.10")
    tool("qemu-img", "snapshot", "-c", "s1", old)
    odd = tmp_path / "odd.vmdk"
    tool("qemu-img", "create", "-q", "-f", "vmdk", odd, "8M")
    vm = machine("--disk", "8M")
    for file in (old, odd):
        vm.ok("disk add", file, "--in-place")
    said = vm.refused(4, "disk resize", "disk1", "9M")
    assert "version 2" in said and "'s1'" in said
    assert "format vmdk" in vm.refused(4, "disk resize", "disk2", "9M")
    other = machine()
    text = other.paths.definition.read_text()
    overlay = other.directory / "disk0.qcow2"
    image(overlay, "-b", vm.image(), "-F", "qcow2")
    other.paths.definition.write_text(
        f'{text}\n[[disks]]\nid="disk0"\nfile="disk0.qcow2"\nformat="qcow2"\n'
        'bus="virtio"\nslot="rp0"\n'
    )
    said = vm.refused(4, "disk resize", "disk0", "9M")
    assert "needed by 'm1'" in said


def test_a_saved_state_goes_with_its_disks(
    machine: "Make", base: Path
) -> None:
    vm = machine("--disk", "8M", "--cdrom", base, start=True)
    vm.ok("save")
    for words in (
        ("disk add", "4M"),
        ("disk remove", "disk0"),
        ("disk resize", "disk0", "9M"),
        ("disk move", "disk0", vm.directory / "x.qcow2"),
        ("disk throttle", "disk0", "--iops", "9"),
        ("cdrom eject",),
    ):
        assert "has a saved state" in vm.refused(4, *words)


def limits(vm: "DiskVM") -> dict[str, int]:
    (block,) = vm.qmp("query-block")
    found = block["inserted"]
    names = ("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr")
    return {name: found[name] for name in names if found[name]}


def test_throttle(machine: "Make") -> None:
    vm = machine("--disk", "8M", start=True)
    vm.ok("disk throttle", "disk0", "--bps", "5M", "--iops-read", "70")
    assert limits(vm) == {"bps": 5 * MIB, "iops_rd": 70}
    vm.ok("quit")
    assert "block_set_io_throttle" in vm.ok("start", "--dry-run").out
    vm.ok("start")
    assert limits(vm) == {"bps": 5 * MIB, "iops_rd": 70}
    said = vm.refused(
        2, "disk throttle", "disk0", "--bps", "1", "--bps-read=1"
    )
    assert "for reading and writing together" in said
    vm.refused(2, "disk throttle", "disk0")
    vm.refused(2, "disk throttle", "disk0", "--off", "--iops", "9")
    vm.refused(2, "disk throttle", "disk0", "--iops", "many")
    vm.ok("disk throttle", "disk0", "--iops", "20")
    assert limits(vm) == {"iops": 20}
    started = time.monotonic()
    for _ in range(20):
        vm.io("write 0 4k")
    vm.io("write 0 4k")
    assert time.monotonic() - started > 0.5
    vm.ok("disk throttle", "disk0", "--off")
    assert limits(vm) == {} and "throttle" not in vm.disk()


def test_a_cd_is_changed(machine: "Make", tmp_path: Path) -> None:
    one, two = tmp_path / "1.iso", tmp_path / "2.iso"
    for number, iso in enumerate((one, two), 1):
        iso.write_bytes(bytes([number]) * MIB)
    vm = machine("--cdrom", one, start=True)
    before = vm.nodes()
    vm.ok("cdrom insert", two)
    assert vm.holds(2, "0 1M", "cdrom0")
    assert len(vm.nodes()) == len(before)
    vm.ok("cdrom eject")
    assert vm.nodes() == []
    assert "is empty" in vm.refused(4, "cdrom eject")
    done = vm.ok("cdrom insert", one, "-f", "json").json
    assert done == {"drive": "cdrom0", "file": str(one)}
    vm.ok("quit")
    vm.ok("start")
    assert vm.holds(1, "0 1M", "cdrom0")
    assert "no file" in vm.refused(3, "cdrom insert", tmp_path / "3.iso")
    said = vm.refused(3, "cdrom insert", two, "--drive", "cdrom1")
    assert "no CD drive 'cdrom1'" in said
    vm.ok("quit")
    vm.ok("cdrom insert", two)
    assert vm.definition["cdroms"][0]["file"] == str(two)
    assert "has no CD drive" in machine().refused(4, "cdrom eject")


def test_a_read_only_directory(machine: "Make", tmp_path: Path) -> None:
    """Root may write to any directory, but not to a read-only mount."""
    mount = tmp_path / "ro"
    mount.mkdir()
    script = 'mount -t tmpfs -o size=1M,ro none "$1" && shift && exec "$@"'
    vm = machine("--disk", "1M", start=True)
    before = vm.state()
    unshare = shutil.which("unshare")
    assert unshare
    done = subprocess.run(
        [
            *(unshare, "--mount", "sh", "-c", script, "sh", mount),
            *(vm.home.executable, "disk", "move", vm.name, "disk0", mount),
        ],
        env=vm.home.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert "Read-only file system" in done.stderr
    assert vm.state() == before
