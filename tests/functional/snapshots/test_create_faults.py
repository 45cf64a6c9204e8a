"""qemu snapshot create goes wrong: nothing is left, and nothing is lost."""

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.functional.snapshots.checks import (
    TIMEOUT_S,
    consistent,
    holding,
    small_disk,
    stuffed,
    tags,
    until_written,
)
from tests.functional.snapshots.taken import refused, tree

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

    Make = Callable[..., "Machine"]

MIB = 1 << 20


def test_the_disk_fills_while_ram_is_written(busy: "Machine") -> None:
    busy.ok("quit", busy.name)
    with small_disk(busy, "400M"):
        busy.ok("start", busy.name)
        process = subprocess.Popen(
            [busy.home.executable, "snapshot", "create", busy.name, "-y"],
            env=busy.home.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        until_written(busy, 16 * MIB)
        with busy.frozen():
            stuffing = stuffed(busy)
        _, said = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 5, said
        assert "Error while writing VM state" in said
        assert "is the host's disk full?" in said
        assert tags(busy.images["disk0"]) == {"before"}
        assert [each.name for each in tree(busy).snapshots] == ["before"]
        assert busy.state == "running"
        assert busy.holds(2)
        stuffing.unlink()
        busy.snapshot("again", "--yes")
        busy.ok("quit", busy.name)
        consistent(busy)


def test_there_is_no_room_for_ram(busy: "Machine") -> None:
    busy.ok("quit", busy.name)
    with small_disk(busy, "64M"):
        busy.ok("start", busy.name)
        for words in (("-y",), ("--external", "--ram")):
            result = busy.home("snapshot", "create", busy.name, *words)
            assert result.rc == 1, result.err
            assert "--external takes the disks alone" in result.err
            assert "are free in" in result.err
        assert busy.state == "running"
        busy.snapshot("--external")
        assert busy.holds(2)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_there_is_no_room_for_overlays(vm: "Machine", state: str) -> None:
    vm.write(1)
    with small_disk(vm, "8M"):
        if state == "running":
            vm.ok("start", vm.name)
        stuffing = stuffed(vm, 256 << 10)  # one overlay, and no more
        failed = vm.home("snapshot", "create", vm.name, "--external")
        assert failed.rc == 1, failed.err
        assert "No space left on device" in failed.err
        assert vm.files == {"disk0.qcow2", "disk1.qcow2"}
        assert tree(vm).snapshots == ()
        assert vm.holds(1)
        stuffing.unlink()
        vm.snapshot("--external")
        assert vm.holds(1)


def test_a_read_only_directory(vm: "Machine") -> None:
    vm.write(1)
    with small_disk(vm, "8M"):
        mount = ["mount", "-o", "remount,ro", vm.paths.directory]
        subprocess.run(mount, check=True)
        for words in ((), ("--external",)):
            failed = vm.home("snapshot", "create", vm.name, *words)
            assert failed.rc == 1, failed.err
            assert "Read-only file system" in failed.err
        assert tree(vm).snapshots == ()
        mount[2] = "remount,rw"
        subprocess.run(mount, check=True)
        vm.snapshot()
        consistent(vm)


def test_somebody_is_at_a_disk(vm: "Machine") -> None:
    with holding(vm.images["disk1"]) as pid:
        for words in ((), ("--external",)):
            said = refused(vm, *words)
            assert "disk1.qcow2 is in use by" in said
            assert f"qemu-io (pid {pid})" in said
    vm.snapshot()


def test_a_disk_that_is_missing(vm: "Machine") -> None:
    image = vm.images["disk1"]
    aside = image.rename(image.with_suffix(".aside"))
    for words in ((), ("--external",)):
        failed = vm.home("snapshot", "create", vm.name, *words)
        assert failed.rc in (1, 3, 4), failed.err
        assert str(image) in failed.err
        assert tree(vm).snapshots == ()
        assert vm.files == {"disk0.qcow2"}
    aside.rename(image)
    vm.snapshot()
    consistent(vm)
