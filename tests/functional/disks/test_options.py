"""Options of qemu disk, and what disk list knows of each layer."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.functional.disks.conftest import DiskVM

    Make = Callable[..., "DiskVM"]

MIB = 1 << 20

#: What ``disk list`` says, in this order, to machines.
KEYS = [
    *("disk", "kind", "bus", "slot", "depth", "file", "format"),
    *("virtual_size_bytes", "actual_size_bytes", "node", "read_only"),
    *("snapshots", "problem"),
]


def limits(vm: "DiskVM") -> dict[str, int]:
    (block,) = vm.qmp("query-block")
    found = block["inserted"]
    names = ("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr")
    return {name: found[name] for name in names if found[name]}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--bps-write", "3M"), {"bps_wr": 3 * MIB}),
        (("--iops-write", "30"), {"iops_wr": 30}),
        (
            ("--bps-read", "2M", "--bps-write", "1M", "--iops-read", "9"),
            {"bps_rd": 2 * MIB, "bps_wr": MIB, "iops_rd": 9},
        ),
        (
            ("--iops-read", "9", "--iops-write", "8", "--bps", "1M"),
            {"bps": MIB, "iops_rd": 9, "iops_wr": 8},
        ),
    ],
)
def test_each_limit(
    machine: "Make", options: tuple[str, ...], expected: dict[str, int]
) -> None:
    vm = machine("--disk", "8M", start=True)
    vm.ok("disk throttle", "disk0", *options)
    assert limits(vm) == expected
    vm.ok("quit")
    vm.ok("start")
    assert limits(vm) == expected
    shown = vm.ok("disk info", "disk0", "-f", "json").json["throttle"]
    assert sum(value for value in shown.values()) == sum(expected.values())


@pytest.fixture(params=["running", "stopped"])
def either(
    request: pytest.FixtureRequest, machine: "Make", base: Path
) -> "DiskVM":
    """A VM whose disk has two layers above the user's image."""
    vm = machine("--image", base)
    vm.write(1, "0 1M")
    vm.stack()
    vm.write(2, "1M 1M")
    if request.param == "running":
        vm.ok("start")
    return vm


def test_dry_runs(either: "DiskVM") -> None:
    vm = either
    before = vm.state(), vm.layers()
    for command, live, offline in (
        ("commit", "block-commit", "qemu-img commit"),
        ("flatten", "block-stream", "qemu-img rebase"),
    ):
        words = (f"disk {command}", "disk0", "--dry-run")
        for more in ((), ("--yes",), ("-f", "json")):
            printed = vm.ok(*words, *more).out
            assert (live if vm.running else offline) in printed, words
            assert "instance.toml" in printed or command == "flatten"
        assert (vm.state(), vm.layers()) == before
    assert vm.holds(1, "0 1M") and vm.holds(2, "1M 1M")


def test_a_commit_left_to_qemu(either: "DiskVM") -> None:
    """Of a VM that is stopped it is done at once: nobody could go on."""
    vm = either
    said = vm.ok("disk commit", "disk0", "--yes", "--detach").err
    if vm.running:
        assert "in the background" in said
        vm.ok("job wait")
    assert vm.disk()["file"] == "disk0.qcow2"
    assert len(vm.layers()) == 2
    assert vm.ok("job list", "-f", "json").json == []
    assert not (vm.directory / "disk0.1.qcow2").exists()
    assert vm.holds(1, "0 1M") and vm.holds(2, "1M 1M")


def image_info(file: str) -> dict[str, Any]:
    done = subprocess.run(
        ["qemu-img", "info", "-U", "--output=json", file],
        capture_output=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_is_known_of_each_layer(either: "DiskVM") -> None:
    vm = either
    rows = vm.layers()
    assert [list(row) for row in rows] == [KEYS] * 3
    assert [Path(row["file"]).name for row in rows] == [
        *("disk0.1.qcow2", "disk0.qcow2", "base.qcow2"),
    ]
    nodes: dict[str, Any] = {}
    if vm.running:
        found = vm.qmp("query-named-block-nodes", flat=True)
        nodes = {each["node-name"]: each for each in found}
    for depth, row in enumerate(rows):
        info = image_info(row["file"])
        assert row["format"] == info["format"] == "qcow2"
        assert row["virtual_size_bytes"] == info["virtual-size"] == 8 * MIB
        assert row["actual_size_bytes"] == info["actual-size"]
        assert (row["depth"], row["kind"]) == (depth, "disk")
        assert (row["bus"], row["slot"]) == ("virtio", "rp0")
        assert (row["snapshots"], row["problem"]) == ([], None)
        if vm.running:
            node = nodes[row["node"]]
            assert (node["drv"], node["file"]) == ("qcow2", row["file"])
            assert row["read_only"] == node["ro"] == (depth > 0)
        else:
            assert (row["node"], row["read_only"]) == (None, None)
    table = vm.ok("disk list").out.splitlines()
    assert "8.0 MiB" in table[1]
    assert table[0].split() == [
        *("DISK", "FILE", "FORMAT", "VIRTUAL", "SIZE", "ACTUAL", "SIZE"),
        *("NODE", "PROBLEM"),
    ]
    # Any columns, in any order, in any format.
    words = ("disk list", "--columns", "actual_size_bytes,node,depth")
    some = vm.ok(*words, "-f", "json").json
    assert list(some[0]) == ["actual_size_bytes", "node", "depth"]
    assert [row["depth"] for row in some] == [0, 1, 2]
    header = vm.ok(*words).out.splitlines()[0]
    assert header.split() == ["ACTUAL", "SIZE", "NODE", "DEPTH"]
    more = vm.ok("disk list", "--columns", "+bus").out
    assert more.splitlines()[0].endswith("BUS")
    wrong = vm.refused(2, "disk list", "--columns", "nod")
    assert "node" in wrong
