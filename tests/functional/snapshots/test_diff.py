"""qemu snapshot diff: where disks differ, found out in two ways."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

MIB = 1 << 20


def ranges(vm: "Machine", *words: str) -> dict[str, list[tuple[int, int]]]:
    """For each disk where it differs: start and length, joined."""
    rows = vm.ok("snapshot", "diff", vm.name, *words, "-f", "json").json
    found: dict[str, list[tuple[int, int]]] = {"disk0": [], "disk1": []}
    for row in rows:
        known = found[row["disk"]]
        start, length = row["start_bytes"], row["length_bytes"]
        if known and sum(known[-1]) == start:
            known[-1] = known[-1][0], known[-1][1] + length
        else:
            known.append((start, length))
    return found


def how(vm: "Machine", *words: str) -> set[str]:
    rows = vm.ok(
        "snapshot", "diff", vm.name, *words, "--total", "-f", "json"
    ).json
    return {row["how"] for row in rows}


@pytest.mark.parametrize("kind", ["external", "internal"])
@pytest.mark.parametrize("state", ["running", "stopped"])
def test_what_was_written(vm: "Machine", kind: str, state: str) -> None:
    options = ("--external",) if kind == "external" else ()
    if state == "running":
        vm.ok("start", vm.name)
    vm.write(1, where="0 8M")
    vm.snapshot("a", *options)
    vm.write(2, "disk0", where="1M 1M")
    vm.snapshot("b", *options)
    vm.write(3, "disk1", where="4M 2M")
    if state == "running":
        for disk in vm.images:
            vm.io("flush", disk)
    assert ranges(vm, "a", "b") == {"disk0": [(MIB, MIB)], "disk1": []}
    assert ranges(vm, "b") == {"disk0": [], "disk1": [(4 * MIB, 2 * MIB)]}
    both = {"disk0": [(MIB, MIB)], "disk1": [(4 * MIB, 2 * MIB)]}
    assert ranges(vm, "a") == both
    assert ranges(vm, "b", "a") == ranges(vm, "a", "b")
    way = "extents" if kind == "external" else "content"
    assert how(vm, "a", "b") == {way}
    assert how(vm, "a", "--content") == {"content"}
    assert ranges(vm, "a", "--content") == both


def test_the_same_again_is_seen_in_the_content_only(vm: "Machine") -> None:
    vm.write(1, where="0 2M")
    vm.snapshot("a", "--external")
    vm.write(1, "disk0", where="0 1M")
    assert ranges(vm, "a")["disk0"] == [(0, MIB)]
    assert ranges(vm, "a", "--content")["disk0"] == []


def test_it_says_that_contents_are_read(vm: "Machine") -> None:
    vm.write(1, where="0 1M")
    vm.snapshot("inside")
    vm.write(2, where="0 1M")
    vm.snapshot("below", "--external")
    vm.write(3)
    said = vm.ok("snapshot", "diff", vm.name, "inside", "below").err
    lines = said.splitlines()
    for disk in ("disk0", "disk1"):
        told = f"{vm.name}: {disk}: reads 1.0 MiB of both, and compares"
        assert told in lines
        differs = f"{disk}: 1.0 MiB of 8.0 MiB differs, in 1 range"
        assert lines.index(told) < lines.index(differs)
    by_layers = ("snapshot", "diff", vm.name, "below")
    assert "reads" not in vm.ok(*by_layers).err
    assert "reads 64.0 KiB of both" in vm.ok(*by_layers, "--content").err


def test_on_two_branches_and_of_two_kinds(vm: "Machine") -> None:
    vm.write(1, where="0 8M")
    vm.snapshot("root", "--external")
    vm.write(2, "disk0", where="0 1M")
    vm.snapshot("left")
    vm.revert("root")
    vm.write(3, "disk0", where="7M 1M")
    vm.snapshot("right", "--external")
    found = ranges(vm, "left", "right")
    assert found == {"disk0": [(0, MIB), (7 * MIB, MIB)], "disk1": []}


def test_totals_formats_and_what_is_wrong(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("monday")
    vm.write(2)
    total = vm.ok("snapshot", "diff", vm.name, "monday", "--total")
    assert "64.0 KiB" in total.out
    rows: list[dict[str, Any]] = vm.ok(
        "snapshot", "diff", vm.name, "monday", "--total", "-f", "json"
    ).json
    assert [row["differing_bytes"] for row in rows] == [65536, 65536]
    assert [row["size_bytes"] for row in rows] == [8 * MIB, 8 * MIB]
    listed = vm.ok("snapshot", "diff", vm.name, "monday", "-f", "csv")
    assert "disk0,0,65536," in listed.out
    missing = vm.home("snapshot", "diff", vm.name, "mondy")
    assert missing.rc == 3
    assert "did you mean 'monday'?" in missing.err


def test_a_disk_that_was_larger(vm: "Machine") -> None:
    """QEMU shows what is inside as large as the image is now."""
    vm.snapshot("small")
    vm.ok("disk", "resize", vm.name, "disk0", "+64k")
    vm.snapshot("large")
    vm.write(1, "disk0", where="8M 64k")
    assert ranges(vm, "large")["disk0"] == [(8 * MIB, 65536)]
    assert ranges(vm, "small")["disk0"] == [(8 * MIB, 65536)]
    vm.revert("small")
    refused = vm.home("snapshot", "diff", vm.name, "large")
    assert refused.rc == 4, refused.err
    assert "disk0 in the snapshot 'large' can't be read whole" in refused.err
    assert "had 8.1 MiB then, has 8.0 MiB now" in refused.err
    assert f"'qemu snapshot revert {vm.name} large'" in refused.err
    vm.revert("large")
    assert ranges(vm, "small")["disk0"] == []
