"""A guest goes on from where it was: what is in its RAM is there again."""

from typing import TYPE_CHECKING

import pytest

from tests.functional.ext4_guest import boot, shell
from tests.functional.snapshots.conftest import Machine

if TYPE_CHECKING:
    from qemu_cli.testing.home import QemuHome
    from qemu_cli.testing.plugin import TinyGuest


@pytest.fixture(scope="module")
def guest(
    home: "QemuHome",
    tiny_guest: "TinyGuest",
    tmp_path_factory: pytest.TempPathFactory,
) -> Machine:
    vm = Machine(home, "g")
    boot(vm, tiny_guest, tmp_path_factory.mktemp("fs"))
    return vm


def note(vm: Machine, word: str) -> None:
    """Have the guest note a word in its RAM, and on its disk."""
    line = f"echo {word} | tee /tmp/note >/mnt/note; sync; echo NO''TED"
    assert "NOTED" in shell(vm, line)


def noted(vm: Machine, word: str) -> bool:
    """Whether it has that word in both, and goes on.

    What it has cached of its disk is dropped: the disk itself is read.
    """
    said = shell(
        vm,
        "echo 3 >/proc/sys/vm/drop_caches; "
        "echo $(cat /tmp/note)-$(cat /mnt/note)-$((40 + 2))",
    )
    return f"{word}-{word}-42" in said


def shell_pid(vm: Machine) -> str:
    return shell(vm, "echo pid=$$=").partition("\npid=")[2].partition("=")[0]


def test_in_the_same_qemu(guest: Machine) -> None:
    pid = shell_pid(guest)
    assert pid.isdigit()
    note(guest, "first")
    guest.snapshot("same")
    note(guest, "second")
    assert guest.revert("same")["qemu"] == "same"
    assert noted(guest, "first")
    assert shell_pid(guest) == pid
    note(guest, "third")
    assert noted(guest, "third")


def test_in_a_new_qemu_after_a_crash(guest: Machine) -> None:
    pid = shell_pid(guest)
    note(guest, "first")
    guest.snapshot("crash")
    note(guest, "second")
    guest.kill()
    assert guest.state == "crashed"
    assert guest.revert("crash")["qemu"] == "new"
    assert noted(guest, "first")
    assert shell_pid(guest) == pid
    note(guest, "third")
    assert noted(guest, "third")


def test_in_a_new_qemu_below_an_overlay(guest: Machine) -> None:
    note(guest, "first")
    guest.snapshot("below")
    note(guest, "second")
    guest.snapshot("above", "--external")
    note(guest, "third")
    done = guest.ok("snapshot", "revert", "g", "below", "--yes")
    assert "in a new QEMU: its disks are in other images" in done.err
    assert noted(guest, "first")
    note(guest, "fourth")
    assert noted(guest, "fourth")


def test_external_with_its_ram(guest: Machine) -> None:
    pid = shell_pid(guest)
    note(guest, "first")
    guest.snapshot("aside", "--external", "--ram")
    note(guest, "second")
    for _ in range(2):  # it can be gone back to more than once
        assert guest.revert("aside")["qemu"] == "new"
        assert noted(guest, "first")
        assert shell_pid(guest) == pid
        note(guest, "third")
        assert noted(guest, "third")


def test_what_was_kept_of_today(guest: Machine) -> None:
    note(guest, "first")
    guest.snapshot("old")
    note(guest, "today")
    guest.ok("snapshot", "revert", "g", "old", "--stash", "kept", "--yes")
    assert noted(guest, "first")
    guest.revert("kept")
    assert noted(guest, "today")
