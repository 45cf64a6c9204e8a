"""nbd-export of a running VM, read by real clients.

There is no guest; what one would write, QEMU's own qemu-io writes.
"""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Machine

MIB = 1 << 20
SIZE = 8 * MIB


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False
    )


def ok(*words: str | Path) -> str:
    done = run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(uri: str, pattern: int, where: str) -> bool:
    done = run(
        "qemu-io", "-r", "-f", "raw", "-c", f"read -P {pattern} {where}", uri
    )
    return done.returncode == 0 and "verification failed" not in done.stdout


def write(uri: str, pattern: int, where: str) -> bool:
    command = f"write -P {pattern} {where}"
    return run("qemu-io", "-f", "raw", "-c", command, uri).returncode == 0


def copied(uri: str, target: Path) -> bytes:
    ok("nbdcopy", uri, target)
    return target.read_bytes()


def now(vm: "Machine", disk: str, target: Path) -> bytes:
    """What a disk holds now, by way of a live export."""
    (uri,) = vm.export(disk, "--live", "--name", f"{disk}-now")
    data = copied(uri, target)
    assert vm.stop(f"{disk}-now").rc == 0
    return data


def assert_shows(uri: str, reference: Path, scratch: Path) -> None:
    """Whatever a client reads in, in pieces of whatever size."""
    data = reference.read_bytes()
    assert copied(uri, scratch) == data
    ok("nbdcopy", "--request-size=2097152", uri, scratch)
    assert scratch.read_bytes() == data
    ok("nbdcopy", "--request-size=4096", "--no-extents", uri, scratch)
    assert scratch.read_bytes() == data
    scratch.unlink()
    ok("qemu-img", "convert", "-f", "raw", "-O", "raw", uri, scratch)
    assert scratch.read_bytes() == data
    ok("qemu-img", "compare", "-f", "raw", "-F", "raw", uri, reference)


def test_it_is_the_disks_of_that_moment(vm: "Machine", tmp_path: Path) -> None:
    for disk in ("disk0", "disk1"):
        now(vm, disk, tmp_path / disk)
    vm.ok("pause", "vm")
    uris = vm.export()
    vm.ok("resume", "vm")
    assert vm.status() == "running"
    vm.as_guest("write -P 7 0 4M")
    vm.as_guest("write -P 8 5M 1M", "disk1")
    vm.as_guest("write -P 8 4032k 64k", "disk1")
    vm.as_guest("discard 4M 1M", "disk1")
    vm.as_guest("write -z 1M 192k", "disk1")
    vm.as_guest("write -z -u 2M 4k", "disk1")
    for disk, uri in zip(("disk0", "disk1"), uris, strict=True):
        assert_shows(uri, tmp_path / disk, tmp_path / "read")
    # The guest goes on while they read.
    generator = random.Random(1)
    for _ in range(100):
        verb = generator.choice(("write -P 9", "write -z", "discard"))
        start = generator.randrange(0, SIZE - 2 * MIB, 512)
        length = generator.choice((512, 4096, 65536, 100 * 512, MIB))
        vm.as_guest(f"{verb} {start} {length}")
    for disk, uri in zip(("disk0", "disk1"), uris, strict=True):
        assert_shows(uri, tmp_path / disk, tmp_path / "read")
    vm.as_guest("write -P 7 0 4M")
    # Taken down, the disks are what the guest made of them.
    assert vm.stop().rc == 0
    assert vm.traces() == []
    assert vm.holds(7, "0 4M")
    assert vm.holds(8, "5M 1M", "disk1")
    assert vm.holds(0, "1M 192k", "disk1")
    vm.as_guest("write -P 9 0 64k")
    assert vm.holds(9, "0 64k")


def test_what_it_says(vm: "Machine") -> None:
    served = vm.ok("nbd-export", "vm")
    first, second = served.out.split()
    socket = vm.paths.nbd_socket
    assert first == f"nbd+unix:///disk0?socket={socket}"
    assert "export-e1.scratch.qcow2" in served.err
    assert "when that is full, the export can't be read" in served.err
    assert int(ok("nbdinfo", "--size", second)) == SIZE
    assert json.loads(ok("nbdinfo", "--json", first))["exports"][0][
        "is_read_only"
    ]
    rows = vm.exports()
    assert [row["uri"] for row in rows] == [first, second]
    assert [row["disk"] for row in rows] == ["disk0", "disk1"]
    assert {row["kind"] for row in rows} == {"pit"}
    assert {row["size"] for row in rows} == {SIZE}
    assert not write(first, 1, "0 64k")
    table = vm.ok("export", "list").out.splitlines()
    assert table[0].split() == [
        *("VM", "NAME", "DISK", "KIND", "SIZE", "PID", "URI")
    ]
    assert "8.0 MiB" in table[1]


def test_every_format(vm: "Machine") -> None:
    rows = vm.ok("nbd-export", "vm", "-f", "json").json
    assert [row["name"] for row in rows] == ["disk0", "disk1"]
    assert list(rows[0]) == ["name", "disk", "kind", "size", "uri"]
    assert vm.stop("disk0").rc == 0
    wrong = vm.home("nbd-export", "vm", "disk0", "-f", "jsn")
    assert wrong.rc == 2
    assert [row["name"] for row in vm.exports()] == ["disk1"]
    line = vm.ok(
        "nbd-export", "vm", "disk0", "-f", "value", "--columns", "name,size"
    )
    assert line.out.split() == ["disk0", str(SIZE)]


def test_a_name_of_any_kind(vm: "Machine") -> None:
    name = "a b/ü?%&#"
    (uri,) = vm.export("disk0", "--name", name)
    assert uri.startswith("nbd+unix:///a%20b%2F%C3%BC%3F%25%26%23?socket=")
    told = json.loads(ok("nbdinfo", "--json", uri))
    assert told["exports"][0]["export-name"] == name
    assert int(ok("qemu-img", "info", "-f", "raw", uri).count(str(SIZE)))
    assert vm.stop(name).rc == 0


def test_dry_run_changes_nothing(vm: "Machine") -> None:
    printed = vm.ok("nbd-export", "vm", "--dry-run")
    assert '"copy-before-write"' in printed.out
    assert printed.out.count("block-export-add") == 2
    assert vm.traces() == []
    vm.export()
    before = vm.traces()
    printed = vm.ok("export", "stop", "vm", "--dry-run")
    assert printed.out.count("block-export-del") == 2
    assert vm.traces() == before


def test_two_moments_of_one_disk(vm: "Machine") -> None:
    vm.as_guest("write -P 1 0 1M")
    (first,) = vm.export("disk0", "--name", "one")
    vm.as_guest("write -P 2 0 1M")
    (second,) = vm.export("disk0", "--name", "two")
    vm.as_guest("write -P 3 0 1M")
    (live,) = vm.export("disk0", "--live", "--name", "three")
    assert read(first, 1, "0 1M")
    assert read(second, 2, "0 1M")
    assert read(live, 3, "0 1M")
    # The first lies below the second, and can't be taken out.
    assert vm.stop("one").rc == 0
    assert [row["name"] for row in vm.exports()] == ["two", "three"]
    vm.as_guest("write -P 4 0 1M")
    assert read(second, 2, "0 1M")
    assert read(live, 4, "0 1M")
    # Its name is free again.
    (again,) = vm.export("disk0", "--name", "one")
    vm.as_guest("write -P 5 0 1M")
    assert read(again, 4, "0 1M")
    assert vm.stop("two").rc == 0
    assert read(again, 4, "0 1M")
    assert vm.stop().rc == 0
    assert vm.traces() == []
    assert vm.holds(5, "0 1M")


def test_a_live_image_moves(vm: "Machine") -> None:
    vm.as_guest("write -P 1 0 1M")
    served = vm.ok("nbd-export", "vm", "disk0", "--live")
    assert "warning" in served.err
    uri = served.out.strip()
    assert read(uri, 1, "0 1M")
    vm.as_guest("write -P 2 0 1M")
    assert read(uri, 2, "0 1M")
    assert not list(vm.paths.directory.glob("export-*"))


def test_clients_write_to_a_scratch_file(vm: "Machine") -> None:
    vm.as_guest("write -P 1 0 2M")
    (uri,) = vm.export("disk0", "--scratch")
    assert write(uri, 2, "512k 1M")
    vm.as_guest("write -P 3 0 2M")
    assert read(uri, 1, "0 512k")
    assert read(uri, 2, "512k 1M")
    assert read(uri, 1, "1536k 512k")
    assert vm.exports()[0]["kind"] == "scratch"
    assert vm.stop().rc == 0
    assert vm.holds(3, "0 2M")


def test_a_bitmap_tells_what_had_changed(vm: "Machine") -> None:
    vm.qmp("block-dirty-bitmap-add", node="disk0", name="b0")
    try:
        vm.as_guest("write -P 1 1M 64k")
        (uri,) = vm.export("disk0", "--bitmap", "b0")
        vm.as_guest("write -P 1 3M 64k")
        told = json.loads(
            ok("nbdinfo", "--json", "--map=qemu:dirty-bitmap:b0", uri)
        )
        dirty = [(e["offset"], e["length"]) for e in told if e["type"] == 1]
        assert dirty == [(MIB, 65536)]
        # The bitmap itself records on.
        assert vm.stop().rc == 0
        (uri,) = vm.export("disk0", "--bitmap", "b0")
        told = ok("nbdinfo", "--json", "--map=qemu:dirty-bitmap:b0", uri)
        dirty = [e["offset"] for e in json.loads(told) if e["type"] == 1]
        assert dirty == [MIB, 3 * MIB]
        missing = vm.home(
            "nbd-export", "vm", "disk0", "--name", "x", "--bitmap", "b1"
        )
        assert missing.rc == 3
        assert "it has b0" in missing.err
    finally:
        vm.stop()
        vm.qmp("block-dirty-bitmap-remove", node="disk0", name="b0")


REFUSED = {
    "no such disk": (("disk9",), 3, "did you mean disk"),
    "a name for two": (("--name", "x"), 2, "--name is for one disk"),
    "no backing file": (("disk0", "--backing"), 3, "has no backing file"),
    "depth 0": (("disk0", "--backing", "0"), 2, "1 or more"),
    "writable": (("--writable",), 4, "--scratch takes writes"),
    "two kinds": (("--live", "--scratch"), 2, "not allowed with"),
    "live, frozen": (("--live", "--quiesce"), 2, "point in time"),
    "live, scratch": (("--live", "--scratch-size", "9M"), 2, "point in"),
    "live, bitmap": (("--live", "--bitmap", "b"), 2, "point in time"),
    "too small": (("--scratch-size", "64k"), 1, "is the least"),
    "no size": (("--scratch-size", "lots"), 2, "is not a size"),
    "no name": (("disk0", "--name", ""), 2, "not empty"),
    "two lines": (("disk0", "--name", "a\nb"), 2, "one line"),
    "long name": (("disk0", "--name", "é" * 3000), 2, "4096 bytes"),
    "no agent": (("--quiesce",), 4, "no guest agent"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_refusals(vm: "Machine", why: str) -> None:
    words, code, text = REFUSED[why]
    refused = vm.home("nbd-export", "vm", *words)
    assert refused.rc == code, refused.err
    assert text in refused.err
    assert vm.traces() == []


def test_a_name_that_is_taken(vm: "Machine") -> None:
    vm.export("disk0")
    again = vm.home("nbd-export", "vm")
    assert again.rc == 4
    assert "is exporting 'disk0' already" in again.err
    assert "qemu export stop vm disk0" in again.err
    assert len(vm.exports()) == 1
    assert vm.stop("disk1").rc == 3
    assert vm.stop().rc == 0
    assert vm.stop().rc == 3


def test_a_backing_file(
    machine: Callable[..., "Machine"], tmp_path: Path
) -> None:
    base = tmp_path / "base.qcow2"
    ok("qemu-img", "create", "-q", "-f", "qcow2", base, "8M")
    ok("qemu-io", "-f", "qcow2", "-c", "write -P 6 0 8M", base)
    vm = machine("layers")
    vm.ok("quit", "layers")
    disk = vm.paths.directory / "disk0.qcow2"
    disk.unlink()
    middle = vm.paths.directory / "middle.qcow2"
    for file, backing in ((middle, base), (disk, middle)):
        ok(
            *("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2"),
            *("-b", backing, file),
        )
    ok("qemu-io", "-f", "qcow2", "-c", "write -P 5 0 1M", middle)
    vm.ok("start", "layers")
    (one,) = vm.export("--backing", "--name", "one")
    (two,) = vm.export("--backing", "2", "--name", "two")
    vm.as_guest("write -P 1 0 8M")
    assert read(one, 5, "0 1M")
    assert read(one, 6, "1M 7M")
    assert read(two, 6, "0 8M")
    assert vm.home("nbd-export", "layers", "--backing", "3").rc == 3
    assert vm.stop("one", "two").rc == 0
    vm.ok("quit", "layers")


def test_every_bus(machine: Callable[..., "Machine"]) -> None:
    buses = ("virtio", "scsi", "sata", "nvme", "usb")
    more = [word for bus in buses for word in ("--disk", f"8M,bus={bus}")]
    vm = machine("buses", *more)
    uris = vm.export()
    assert len(uris) == len(buses) + 1
    assert vm.status() == "running"
    for number, uri in enumerate(uris):
        said = vm.as_guest("write -P 9 0 1M", f"disk{number}")
        assert "wrote" in said
        assert not read(uri, 9, "0 1M")
    assert vm.stop().rc == 0
    assert vm.traces() == []
    assert vm.holds(9, "0 1M", "disk3")
    vm.ok("quit", "buses")
