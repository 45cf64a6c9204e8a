"""What others do to the files of a stopped VM: told, and nothing changed."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional.snapshots.checks import holding, small_disk, stuffed

if TYPE_CHECKING:
    from tests.functional.disks.conftest import DiskVM


@pytest.fixture
def vm(machine: "Callable[..., DiskVM]", base: Path) -> "DiskVM":
    """Its disk has two layers of its own, and the user's below."""
    vm = machine("--image", base)
    vm.write(1, "0 8M")
    vm.stack()
    vm.write(2, "0 4M")
    return vm


def commands(target: Path) -> tuple[tuple[str | Path, ...], ...]:
    return (
        ("disk move", "disk0", target),
        ("disk commit", "disk0", "--yes"),
        ("disk flatten", "disk0"),
        ("disk resize", "disk0", "+1M"),
    )


def test_an_image_that_another_process_has(
    vm: "DiskVM", tmp_path: Path
) -> None:
    with holding(vm.image()) as pid:
        for words, *more in commands(tmp_path / "x"):
            said = vm.refused(6, str(words), *more)
            assert f"qemu-io (pid {pid})" in said, words
    vm.ok("disk flatten", "disk0")
    assert vm.holds(2, "0 4M")


def test_a_read_only_directory(vm: "DiskVM") -> None:
    with small_disk(vm, "40M"):
        mount = ["mount", "-o", "remount,ro", vm.directory]
        subprocess.run(mount, check=True)
        for words in (
            ("disk add", "8M"),
            ("disk commit", "disk0", "--yes"),
            ("disk flatten", "disk0"),
        ):
            assert "Read-only file system" in vm.refused(1, *words)
        mount[2] = "remount,rw"
        subprocess.run(mount, check=True)
        assert vm.holds(2, "0 4M")


@pytest.mark.parametrize("state", ["running", "stopped"])
@pytest.mark.parametrize("command", ["commit", "flatten"])
def test_a_full_disk(
    machine: "Callable[..., DiskVM]", command: str, state: str
) -> None:
    """Neither layer has room for what is in the other."""
    vm = machine("--disk", "16M")
    vm.write(3, "8M 8M")
    vm.stack()
    vm.write(4, "0 4M")
    with small_disk(vm, "60M"):
        if state == "running":
            vm.ok("start")
        stuffing = stuffed(vm)
        said = vm.refused(
            5 if state == "running" else 1,
            *(f"disk {command}", "disk0"),
            *(("--yes",) if command == "commit" else ()),
        )
        assert "No space left on device" in said
        stuffing.unlink()
        assert vm.holds(4, "0 4M")
        assert vm.holds(3, "8M 8M")
        vm.ok(f"disk {command}", "disk0", "--yes")
        assert vm.holds(4, "0 4M")
        assert vm.holds(3, "8M 8M")
