"""nbd-export --snapshot: how disks were, of a VM that runs or not."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.instance.exports import daemon, records
from tests.functional.until import until

TIMEOUT_S = 60.0
FIRST = "write -P 1 0 1M"
SECOND = "write -P 2 0 1M"


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def reads(uri: str, pattern: int) -> bool:
    """Whether the first MiB is so, for a real client."""
    said = run(
        "qemu-io", "-r", "-f", "raw", "-c", f"read -P {pattern} 0 1M", uri
    )
    return "1 MiB" in said.stdout and "failed" not in said.stdout


@pytest.fixture(scope="module")
def shared(machine: Callable[..., Any]) -> Any:
    """A running VM with an internal and an external snapshot.

    Both hold ones, and its guest has written twos since.
    """
    vm = machine("vm", "--disk", "8M")
    vm.as_guest(FIRST)
    vm.ok("snapshot", "create", "vm", "inside")
    vm.as_guest("write -P 3 0 1M")
    vm.as_guest(FIRST)
    vm.ok("snapshot", "create", "vm", "outside", "--external")
    vm.as_guest(SECOND)
    return vm


@pytest.fixture
def vm(shared: Any) -> Iterator[Any]:
    """It runs, and serves nothing, before and after each test."""
    yield shared
    shared.stop("--hard")
    assert not list(shared.paths.exports.glob("*"))
    assert not list(shared.paths.runtime.glob("nbd-*"))


@pytest.mark.parametrize("snapshot", ["inside", "outside"])
def test_it_is_as_it_was_whatever_the_guest_does(
    vm: Any, snapshot: str
) -> None:
    first, second = vm.export("--snapshot", snapshot)
    assert reads(first, 1)
    assert not reads(second, 1)
    assert vm.holds(2, "0 1M")
    vm.as_guest("write -P 4 1M 4M")
    vm.as_guest("write -P 2 0 1M")
    assert reads(first, 1)
    written = run("qemu-io", "-f", "raw", "-c", "write 0 512", first)
    assert written.returncode != 0
    assert {row["kind"] for row in vm.exports()} == {"snapshot"}


def test_both_at_the_same_time_and_for_others(vm: Any) -> None:
    (inside,) = vm.export("disk0", "--snapshot", "inside", "--name", "a")
    (outside,) = vm.export(
        *("disk0", "--snapshot", "outside", "--name", "b", "--listen", ":0")
    )
    assert outside.startswith("nbd://127.0.0.1:")
    (today,) = vm.export("disk0", "--live", "--name", "c")
    assert reads(inside, 1)
    assert reads(outside, 1)
    assert reads(today, 2)
    compared = run("qemu-img", "compare", "-f", "raw", inside, outside)
    assert compared.returncode == 0, compared.stdout


@pytest.mark.parametrize("snapshot", ["inside", "outside"])
def test_it_is_held_as_long_as_it_is_served(vm: Any, snapshot: str) -> None:
    (uri,) = vm.export("disk0", "--snapshot", snapshot)
    deleted = vm.home("snapshot", "delete", "vm", snapshot, "--yes")
    assert deleted.rc == 4, deleted.err
    assert "is being exported: disk0" in deleted.err
    assert "qemu export stop vm disk0" in deleted.err
    reverted = vm.home("snapshot", "revert", "vm", snapshot, "--yes")
    assert reverted.rc == 4, reverted.err
    assert "is being exported" in reverted.err
    vm.ok("snapshot", "rename", "vm", snapshot, "other")
    deleted = vm.home("snapshot", "delete", "vm", "other", "--yes")
    assert "'other' of 'vm' is being exported" in deleted.err
    vm.ok("snapshot", "rename", "vm", "other", snapshot)
    assert reads(uri, 1)


def test_what_is_not_there(vm: Any) -> None:
    unknown = vm.home("nbd-export", "vm", "--snapshot", "insid")
    assert unknown.rc == 3
    assert "did you mean 'inside'?" in unknown.err
    unknown = vm.home("nbd-export", "vm", "disk7", "--snapshot", "inside")
    assert unknown.rc == 3
    assert "it has disk0, disk1" in unknown.err
    both = vm.home("nbd-export", "vm", "--snapshot", "inside", "--writable")
    assert both.rc == 2


def test_a_server_that_is_killed(vm: Any) -> None:
    vm.export("disk0", "--snapshot", "inside")
    (export,) = records.read(vm.paths)
    process = daemon.alive(vm.paths, export)
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{process.pid}").exists())
    assert vm.exports() == []
    again = vm.home("nbd-export", "vm", "disk0", "--snapshot", "inside")
    assert again.rc == 0
    assert "disk0 is served no more" in again.err
    assert reads(again.out.strip(), 1)


def test_stopped_and_started_while_it_is_served(vm: Any) -> None:
    vm.ok("quit", "vm")
    (inside,) = vm.export("disk0", "--snapshot", "inside", "--name", "a")
    (outside,) = vm.export("disk0", "--snapshot", "outside", "--name", "b")
    assert reads(inside, 1)
    assert reads(outside, 1)
    vm.ok("start", "vm")
    vm.as_guest("write -P 5 0 2M")
    vm.as_guest("write -P 2 0 1M")
    assert reads(inside, 1)
    assert reads(outside, 1)


def test_a_snapshot_that_was_deleted_by_hand(
    machine: Callable[..., Any],
) -> None:
    vm = machine("byhand")
    vm.ok("quit", "byhand")
    vm.ok("snapshot", "create", "byhand", "s")
    image = vm.paths.directory / "disk0.qcow2"
    assert run("qemu-img", "snapshot", "-d", "s", image).returncode == 0
    refused = vm.home("nbd-export", "byhand", "--snapshot", "s")
    assert refused.rc == 4
    assert "does not have the snapshot 's' any more" in refused.err


def test_a_disk_that_was_larger(machine: Callable[..., Any]) -> None:
    """QEMU shows what is inside as large as the image is now."""
    vm = machine("larger", "--disk", "8M")
    vm.ok("quit", "larger")
    vm.ok("snapshot", "create", "larger", "small")
    vm.ok("disk", "resize", "larger", "disk0", "+1M")
    vm.ok("snapshot", "create", "larger", "large")
    (uri,) = vm.export("disk0", "--snapshot", "large")
    assert "9 MiB" in run("qemu-img", "info", "-f", "raw", uri).stdout
    vm.stop()
    vm.ok("snapshot", "revert", "larger", "small", "--yes")
    refused = vm.home("nbd-export", "larger", "--snapshot", "large")
    assert refused.rc == 4
    assert "disk0 in the snapshot 'large' can't be read whole" in refused.err
    assert "'qemu snapshot revert larger large' goes back" in refused.err
    assert vm.exports() == []
    vm.ok("snapshot", "revert", "larger", "large", "--yes")
    assert vm.export("disk0", "--snapshot", "large")
