"""What a real guest sees of devices that come and go, its RAM included."""

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.devices.conftest import PlugVM

    Guest = Callable[..., PlugVM]

PCI = "ls /sys/bus/pci/devices | wc -l"


def pci(vm: "PlugVM") -> int:
    return int(vm.ask(PCI))


def test_a_guest_sees_it_come_and_go(guest: "Guest") -> None:
    vm = guest("--disk", "64M")
    before = pci(vm)
    vm.ok("device add", "virtio-rng-pci,max-bytes=1024,period=1000")
    vm.until(lambda: pci(vm) == before + 1, "the guest sees it")
    vm.ok("device remove", "rng1")
    assert "rng1" not in vm.plugged()
    assert pci(vm) == before
    assert "devices" not in vm.definition


def test_a_guest_goes_back_to_a_ram_with_what_was_plugged_in(
    guest: "Guest",
) -> None:
    """Both ways: a QEMU that has it, and a new one that must get it."""
    vm = guest("--disk", "64M")
    token = secrets.token_hex(8)
    vm.ask(f"token={token}")
    before = pci(vm)
    vm.ok("device add", "virtio-rng-pci,max-bytes=1024,period=1000")
    vm.ok("device add", "qemu-xhci")
    vm.ok("device add", "usb-tablet")
    vm.until(lambda: pci(vm) == before + 2, "the guest sees both")
    vm.ok("snapshot create", "with")
    # In the QEMU that runs: it still has all.
    vm.ok("snapshot revert", "with", "--yes")
    assert "hotplugged" in str(vm.listed()["rng1"])
    assert vm.listed()["rng1"]["hotplugged"] is True
    assert pci(vm) == before + 2
    # It lacks one now: a new QEMU has it from the start.
    vm.ok("device remove", "rng1")
    assert pci(vm) == before + 1
    said = vm.ok("snapshot revert", "with", "--yes").err
    assert "it had other devices (rng1)" in said
    assert vm.listed()["rng1"]["hotplugged"] is False
    assert pci(vm) == before + 2
    assert token in vm.ask("echo $token")
    # What was there at the start can go now, too.
    vm.ok("device remove", "rng1")
    assert pci(vm) == before + 1
    # And a RAM that is saved goes on with what there was then.
    vm.ok("save")
    vm.ok("start")
    assert token in vm.ask("echo $token")
    assert pci(vm) == before + 1
    assert {"usb0", "tablet1"} <= set(vm.plugged())


def test_no_snapshot_of_what_nobody_could_go_back_to(guest: "Guest") -> None:
    vm = guest("--disk", "64M")
    vm.qmp("device_add", driver="virtio-rng-pci", id="mine", bus="rp3")
    said = vm.run("snapshot create", "s1").err
    assert "mine was plugged in by hand" in said
    vm.ok("device add", "virtio-rng-pci", "--next-start")
    vm.ok("device remove", "mine")
    said = vm.run("snapshot create", "s1").err
    assert "another machine than the one that runs" in said
    assert "rng1" in said
    vm.ok("device remove", "rng1")
    vm.ok("snapshot create", "s1")
