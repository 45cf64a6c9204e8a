"""qemu snapshot revert: what was there is there again, and goes on."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine


def test_with_ram_it_goes_on_in_the_same_qemu(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    pid = vm.row()["pid"]
    vm.write(1)
    vm.snapshot("s1")
    vm.write(2)
    vm.snapshot("s2")
    vm.write(3)
    for name, pattern in (("s1", 1), ("s2", 2), ("s1", 1)):
        done = vm.revert(name)
        assert done["qemu"] == "same"
        assert done["state"] == "running"
        assert done["pid"] == vm.row()["pid"] == pid
        assert vm.holds(pattern)
        assert vm.current == name
        vm.write(9)
    vm.ok("quit", vm.name)
    assert vm.holds(9)
    # In a new one, and so as to the disks alone.
    done = vm.revert("s2")
    assert done["qemu"] == "new"
    assert vm.row()["state"] == done["state"] == "running"
    assert vm.holds(2)
    done = vm.revert("s1", "--no-ram")
    assert (done["qemu"], done["ram"]) == (None, False)
    assert vm.state == "stopped"
    assert vm.holds(1)


def test_it_is_as_it_was_running_or_paused(vm: "Machine") -> None:
    vm.ok("start", vm.name)
    vm.snapshot("ran")
    vm.ok("pause", vm.name)
    vm.snapshot("stood")
    assert vm.revert("ran")["state"] == "running"
    assert vm.revert("stood")["state"] == "paused"
    before = vm.events()
    assert vm.revert("stood")["state"] == "paused"
    assert "RESUME" not in vm.events()[len(before) :]
    assert vm.revert("ran")["state"] == "running"
    vm.ok("quit", vm.name)
    assert vm.revert("stood")["state"] == "paused"
    assert vm.state == "paused"
    assert "RESUME" not in vm.events()


def test_disks_alone_end_qemu_first(vm: "Machine") -> None:
    vm.write(1)
    vm.snapshot("s1")
    vm.write(2)
    vm.ok("start", vm.name)
    refused = vm.home("snapshot", "revert", vm.name, "s1")
    assert refused.rc == 2
    assert "end its QEMU: not without --yes" in refused.err
    assert vm.state == "running"
    assert vm.holds(2)
    done = vm.revert("s1")
    assert (done["state"], done["qemu"]) == ("stopped", None)
    assert vm.holds(1)
    vm.write(2)
    done = vm.revert("s1", "--start")
    assert done["state"] == "running"
    assert done["pid"] == vm.row()["pid"]
    assert vm.holds(1)
    lines = vm.paths.history.read_text().splitlines()
    log = [json.loads(line) for line in lines]
    assert [entry["action"] for entry in log[-2:]] == [
        "snapshot revert",
        "start",
    ]
    assert [entry["action"] for entry in log].count("exit") == 1
