"""The image that a disk stands on is gone: all say so, and change nothing."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.functional.disks.conftest import DiskVM


@pytest.fixture
def vm(machine: "Callable[..., DiskVM]", base: Path) -> "Iterator[DiskVM]":
    """It has a snapshot of each kind, and is stopped."""
    vm = machine("--image", base)
    vm.write(1, "0 1M")
    vm.ok("snapshot create", "inside")
    vm.ok("snapshot create", "over", "--external")
    vm.write(2, "0 1M")
    yield vm
    assert vm.holds(2, "0 1M")
    vm.ok("snapshot revert", "over", "--yes")
    assert vm.holds(1, "0 1M")


def everything(vm: "DiskVM") -> dict[str, bytes]:
    return {
        str(file.relative_to(vm.directory)): file.read_bytes()
        for file in vm.directory.rglob("*")
        if file.is_file() and file.suffix in (".qcow2", ".toml", ".json")
    }


#: With the exit codes; all are about the file that is missing.
COMMANDS: tuple[tuple[int, tuple[str | Path, ...]], ...] = (
    (3, ("nbd-export",)),
    (3, ("nbd-export", "--scratch")),
    (3, ("nbd-export", "--backing")),
    (3, ("nbd-export", "--writable")),
    (3, ("nbd-export", "--snapshot", "inside")),
    (3, ("nbd-export", "--snapshot", "over")),
    (3, ("snapshot create", "s3")),
    (3, ("snapshot create", "s3", "--external")),
    (3, ("snapshot revert", "inside", "--yes")),
    (3, ("snapshot revert", "over", "--yes")),
    (3, ("snapshot delete", "over", "--yes")),
    (3, ("snapshot delete", "inside", "--yes")),
    (3, ("snapshot diff", "inside")),
    (3, ("snapshot diff", "over")),
    (3, ("disk resize", "disk0", "+1M")),
    (4, ("disk flatten", "disk0")),
    (4, ("disk commit", "disk0", "--yes")),
    (4, ("disk move", "disk0", "x.qcow2")),
    (3, ("clone", "other")),
)


def test_of_a_stopped_vm(vm: "DiskVM", base: Path) -> None:
    away = base.rename(base.with_suffix(".away"))
    before = everything(vm)
    for code, (words, *more) in COMMANDS:
        said = vm.refused(code, str(words), *more)
        assert str(base) in said, words
        assert "missing" in said or "lacks a file" in said, said
        assert everything(vm) == before, words
        assert not list(vm.paths.exports.glob("*")), words
    assert vm.run("start").rc != 0
    rows = vm.layers()
    assert [row["problem"] for row in rows] == [None, None, "missing"]
    assert rows[-1]["file"] == str(base)
    info = vm.home("image", "info", vm.image(), "-f", "json")
    assert info.rc == 0
    (gone,) = [each for each in info.json["chain"] if each.get("problem")]
    assert gone["file"] == str(base) and "missing" in gone["problem"]
    assert everything(vm) == before
    away.rename(base)


def test_of_a_running_vm(vm: "DiskVM", base: Path) -> None:
    """QEMU has it open still: what it does alone goes on."""
    vm.ok("start")
    away = base.rename(base.with_suffix(".away"))
    before = vm.state()
    *_, row = vm.layers()
    assert row["problem"] == "missing: only its QEMU has it"
    for code, (words, *more) in COMMANDS:
        if "revert" in str(words) or "diff" in str(words):
            assert str(base) in vm.refused(code, str(words), *more)
    # Who has lost it gets it back so.
    (uri,) = vm.ok("nbd-export", "--backing", "2").out.split()
    copy = base.with_suffix(".raw")
    subprocess.run(["nbdcopy", uri, copy], check=True, timeout=60)
    subprocess.run(
        [
            *("qemu-img", "compare", "-f", "raw", "-F", "qcow2"),
            *(copy, away),
        ],
        check=True,
        timeout=60,
    )
    vm.ok("export stop")
    assert vm.state() == before
    away.rename(base)
    vm.ok("quit")
