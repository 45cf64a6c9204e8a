"""qemu usb: plugged in and pulled out, as with a real plug."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qemu_cli.testing.real_qemu import RealQemu
    from tests.functional.devices.conftest import PlugVM

    Make = Callable[..., PlugVM]


def listed(vm: "PlugVM") -> dict[str, Any]:
    return {row["id"]: row for row in vm.ok("usb list", "-f", "json").json}


def test_kinds_come_and_go(machine: "Make") -> None:
    vm = machine(start=True)
    said = vm.refused(4, "usb add", "tablet")
    assert f"'qemu device add {vm.name} qemu-xhci' adds one" in said
    vm.ok("device add", "qemu-xhci")
    for kind in ("tablet", "keyboard", "mouse"):
        vm.ok("usb add", kind)
    vm.ok("usb add", "storage", "1M")
    ids = ("tablet1", "kbd1", "mouse1", "disk0")
    kinds = ("tablet", "keyboard", "mouse", "storage")
    for number, (id, kind) in enumerate(zip(ids, kinds, strict=True), 1):
        row = listed(vm)[id]
        assert (row["kind"], row["port"]) == (kind, str(number))
        assert id in vm.plugged()
    before = listed(vm)
    vm.restart()
    assert listed(vm) == before
    for id in ids:
        vm.ok("usb remove", id)
        assert id not in vm.plugged() and id not in listed(vm)
    assert [each["id"] for each in vm.definition["devices"]] == ["usb0"]
    assert (vm.paths.directory / "disk0.qcow2").exists()
    vm.ok("usb add", "mouse")
    assert listed(vm)["mouse1"]["port"] == "1"


def test_a_stopped_vm_gets_its_controller_by_itself(machine: "Make") -> None:
    vm = machine()
    vm.ok("usb add", "tablet")
    assert listed(vm)["tablet1"]["port"] == "1"
    vm.ok("start")
    assert {"usb0", "tablet1"} <= set(vm.plugged())
    vm.ok("usb remove", "tablet1", "--next-start")
    assert listed(vm)["tablet1"]["problem"] == "not in the definition"
    vm.restart()
    assert "usb0" not in vm.plugged()


def test_there_are_eight_ports(machine: "Make") -> None:
    vm = machine()
    for _ in range(8):
        vm.ok("usb add", "mouse")
    said = vm.refused(2, "usb add", "mouse")
    assert "there can be only 8 USB devices" in said


def test_what_makes_no_sense(machine: "Make") -> None:
    vm = machine(start=True)
    vm.ok("device add", "qemu-xhci")
    for wrong, code, words in (
        (("tabelt",), 2, "did you mean tablet?"),
        (("ccid-reader",), 2, f"'qemu device add {vm.name} usb-…'"),
        (("storage",), 2, "needs a SIZE or a FILE"),
        (("storage", "/nonexistent"), 3, "/nonexistent"),
        (("tablet", "1M"), 2, "takes no file or size"),
        (("host:1",), 2, "host:VENDOR:PRODUCT"),
        (("host:fffe:fffe",), 3, "no USB device fffe:fffe"),
        (("host:199.99",), 3, "no USB device 199.99"),
    ):
        assert words in vm.refused(code, "usb add", *wrong)
    assert "'qemu usb list" in vm.refused(3, "usb remove", "rp1")


def test_a_device_of_the_host_may_come_later(machine: "Make") -> None:
    """QEMU waits for it: so does the definition."""
    vm = machine()
    done = vm.ok("usb add", "host:fffe:fffe")
    assert "this host has no USB device fffe:fffe" in done.err
    vm.refused(3, "usb add", "host:199.99")
    rows = listed(vm)
    assert rows["host1"]["host"] == "fffe:fffe"
    vm.ok("start")
    assert vm.get("host1", "vendorid") == 0xFFFE
    vm.ok("usb remove", "host1")
    assert "host1" not in vm.plugged()


def test_a_board_without_usb(machine: "Make") -> None:
    vm = machine("--profile", "microvm", "--kernel", "/proc/version")
    assert "usb" in vm.refused(2, "usb add", "tablet").lower()
    vm.refused(2, "usb add", "storage", "1M")


def test_an_image_in_place(machine: "Make", tmp_path: "Path") -> None:
    stick = tmp_path / "stick.img"
    stick.write_bytes(bytes(1 << 20))
    vm = machine()
    vm.ok("usb add", "storage", stick, "--in-place")
    assert vm.definition["disks"][0]["file"] == str(stick)
    assert vm.definition["disks"][0]["bus"] == "usb"


def test_of_a_vm_that_somebody_else_started(
    machine: "Make", real_qemu: "Callable[..., RealQemu]"
) -> None:
    other = real_qemu(
        *("-machine", "pc", "-m", "16", "-S", "-usb"),
        *("-device", "usb-kbd,id=k"),
        *("-device", "usb-host,id=h,vendorid=0xfffe,productid=0x1"),
    )
    done = machine().home(
        "usb", "list", f"qmp:{other.addresses[0]}", "-f", "json"
    )
    assert done.rc == 0, done.err
    rows = {row["id"]: row for row in done.json}
    assert rows["k"]["kind"] == "keyboard"
    assert rows["h"]["host"] == "fffe:0001"
