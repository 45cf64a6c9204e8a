"""qemu device: listed, added and removed, without a guest."""

import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.testing.real_qemu import binary
from tests.functional.killing import moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from qemu_cli.testing.real_qemu import RealQemu
    from tests.functional.devices.conftest import PlugVM

    Make = Callable[..., PlugVM]

RNG = "virtio-rng-pci,max-bytes=1024,period=1000"


def test_it_is_plugged_in_and_there_again_at_the_next_start(
    machine: "Make",
) -> None:
    vm = machine(start=True)
    text = vm.paths.definition.read_text()
    vm.paths.definition.write_text(f"# mine\n{text}")
    done = vm.ok("device add", RNG, "-f", "json").json
    assert done == {
        "device": "rng1",
        "driver": "virtio-rng-pci",
        "slot": "rp0",
        "waits": False,
    }
    vm.ok("device add", "i6300esb,id=dog")
    before = vm.listed()
    assert before["rng1"]["hotplugged"] and before["rng1"]["place"] == "rp0"
    assert before["dog"]["kind"] == "watchdog"
    assert vm.paths.definition.read_text().startswith("# mine\n")
    assert vm.definition["devices"][0]["options"] == {
        "max-bytes": 1024,
        "period": 1000,
    }
    vm.restart()
    after = vm.listed()
    for id in ("rng1", "dog"):
        assert after[id] == {**before[id], "hotplugged": False}
    assert vm.get("rng1", "max-bytes") == 1024
    bus = vm.get("rng1", "parent_bus")
    assert bus.endswith("/rp0/rp0") and vm.get("rng1", "addr") == 0


def test_a_stopped_vm_gets_it_at_its_next_start(machine: "Make") -> None:
    vm = machine()
    vm.ok("device add", RNG)
    vm.ok("device add", "usb-tablet")
    listed = vm.listed()
    assert listed["rng1"]["place"] == "rp0"
    assert listed["usb0"]["kind"] == "usb controller"
    vm.ok("start")
    assert {"rng1", "tablet1", "usb0"} <= set(vm.plugged())
    assert vm.listed()["tablet1"]["place"] == "usb:1"
    vm.ok("quit")
    vm.ok("device remove", "tablet1")
    vm.ok("device remove", "rng1")
    assert "devices" not in vm.definition
    assert "usb0" not in vm.listed()


def test_a_nic_comes_and_goes_with_its_back_end(machine: "Make") -> None:
    vm = machine(start=True)
    vm.ok("device add", "virtio-net-pci,mac=52:54:00:00:00:01")
    (nic,) = vm.definition["nics"]
    assert nic["id"] == "net0" and nic["mac"] == "52:54:00:00:00:01"
    said = vm.refused(4, "device add", "virtio-net-pci,netdev=bridge:br0")
    assert "a NIC on a bridge" in said and "--next-start" in said
    vm.ok("device add", "virtio-net-pci,netdev=bridge:br0", "--next-start")
    assert vm.listed()["net1"]["problem"]
    vm.ok("device remove", "net1")
    vm.restart()
    assert vm.get("net0", "mac") == "52:54:00:00:00:01"
    for wrong in ("netdev=tap", "vectors=4", "mac=1:2", "netdev=bridge"):
        vm.refused(2, "device add", f"virtio-net-pci,{wrong}")


def test_what_is_misspelt_is_named(machine: "Make") -> None:
    vm = machine(start=True)
    for wrong, words in (
        ("virtio-rgn-pci", "did you mean virtio-rng-pci"),
        ("virtio-rng-pci,max-byte=1", "did you mean max-bytes?"),
        ("virtio-rng-pci,max-bytes=x", "max-bytes is a number, not 'x'"),
        ("virtio-rng-pci,event_idx=maybe", "event_idx is on or off"),
        ("virtio-rng-pci,disable-legacy=2", "is on, off or auto"),
        ("virtio-rng-pci,max-bytes", "not of the form KEY=VALUE"),
        ("virtio-rng-pci,period=1,period=2", "period is said twice"),
        ("virtio-rng-pci,bus=rp3", "gets a free place"),
        ("virtio-rng-pci,id=1", "'1' can't be an id"),
        ("", "is no name of a device"),
        ("virtio-blk-pci", "'qemu disk add'"),
        ("pc-dimm", "'qemu memory set'"),
        ("qemu64-x86_64-cpu", "'qemu cpu set'"),
        ("e1000e", "add virtio-net-pci"),
        ("pcie-root-port", f"'qemu set {vm.name} machine.root_ports=16'"),
        ("sb16", "on a bus of the type ISA"),
    ):
        assert words in vm.refused(2, "device add", wrong)
    said = vm.refused(4, "device add", "virtio-rng-pci,id=balloon0")
    assert "there is a device 'balloon0' already" in said
    # What only QEMU itself can tell is taken back.
    said = vm.refused(5, "device add", "virtio-rng-pci,rng=nosuch")
    assert "nosuch" in said


def test_an_alias_and_a_comma_in_a_value(machine: "Make") -> None:
    vm = machine()
    vm.ok("device add", "virtio-rng,failover_pair_id=a,,b")
    (device,) = vm.definition["devices"]
    assert device["driver"] == "virtio-rng-pci"
    assert device["options"] == {"failover_pair_id": "a,b"}
    assert any(
        "failover_pair_id=a,,b" in line
        for line in vm.ok("start", "--dry-run").out.splitlines()
    )


def test_a_dry_run_changes_nothing(machine: "Make") -> None:
    vm = machine(start=True)
    before = vm.state()
    assert "device_add" in vm.ok("device add", RNG, "--dry-run").out
    assert vm.state() == before
    vm.ok("device add", RNG)
    before = vm.state()
    assert "device_del" in vm.ok("device remove", "rng1", "--dry-run").out
    assert vm.state() == before


def test_there_is_no_port_left(machine: "Make") -> None:
    vm = machine("--disk", "1M", start=True)
    for _ in range(8):
        vm.ok("device add", "virtio-rng-pci")
    said = vm.refused(4, "device add", "virtio-rng-pci")
    assert "it has no root port left" in said and "--next-start" in said
    vm.ok("device add", "virtio-rng-pci", "--next-start")
    assert vm.listed()["rng9"]["problem"]
    vm.restart()
    assert vm.listed()["rng9"]["place"] == "rp9"
    vm.ok("disk add", "1M")
    assert vm.definition["disks"][1]["slot"] == "rp10"


def test_usb_needs_a_controller(machine: "Make") -> None:
    vm = machine(start=True)
    said = vm.refused(4, "device add", "usb-tablet")
    assert f"'qemu device add {vm.name} qemu-xhci' adds one" in said
    vm.ok("device add", "qemu-xhci")
    vm.ok("device add", "usb-tablet")
    vm.ok("disk add", "1M,bus=usb")
    slots = [each["slot"] for each in vm.definition["devices"]]
    assert slots == ["rp0", "usb:1"]
    assert vm.definition["disks"][0]["slot"] == "usb:2"
    said = vm.refused(4, "device remove", "usb0")
    assert "the USB controller of disk0, tablet1" in said
    vm.restart()
    assert vm.listed()["usb0"]["place"] == "rp0"
    assert vm.listed()["tablet1"]["place"] == "usb:1"
    # USB needs no guest to go.
    vm.ok("device remove", "tablet1")
    assert "tablet1" not in vm.plugged()


def test_a_guest_that_does_not_let_go(machine: "Make") -> None:
    """Nothing runs in it that could."""
    vm = machine(start=True)
    vm.ok("device add", "virtio-net-pci")
    said = vm.refused(7, "device remove", "net0", "--timeout", "1s")
    assert "has not let go of net0 in 1 s" in said
    assert "an operating system has to run in it" in said
    vm.ok("pause")
    said = vm.refused(4, "device remove", "net0")
    assert "is paused" in said and "--next-start" in said
    vm.ok("resume")
    # Who has been asked may do it later: a reset does.
    vm.qmp("system_reset")
    vm.until(lambda: "net0" not in vm.plugged(), "net0 goes")
    assert vm.listed()["net0"]["problem"]
    vm.ok("device remove", "net0")
    assert "nics" not in vm.definition
    vm.ok("device add", "virtio-net-pci")  # its back-end is free again


def test_it_goes_with_the_next_start(machine: "Make") -> None:
    vm = machine(start=True)
    vm.ok("device add", RNG)
    done = vm.ok("device remove", "rng1", "--next-start")
    assert "the guest has it until it is shut down" in done.err
    assert vm.listed()["rng1"]["problem"] == "not in the definition"
    vm.restart()
    assert "rng1" not in vm.plugged()


def test_what_can_not_be_removed(machine: "Make") -> None:
    vm = machine("--disk", "1M", start=True)
    for id, code, words in (
        ("balloon0", 4, "needs balloon0"),
        ("rp0", 4, "needs rp0"),
        ("agentport0", 4, "needs agentport0"),
        ("disk0", 4, f"'qemu disk remove {vm.name} disk0'"),
        ("ballon0", 3, "did you mean balloon0"),
        ("x", 3, f"'qemu device list {vm.name}' shows all"),
    ):
        assert words in vm.refused(code, "device remove", id)


def test_what_was_plugged_in_by_hand(machine: "Make") -> None:
    vm = machine(start=True)
    vm.qmp("device_add", driver="qemu-xhci", id="x", bus="rp0")
    vm.qmp("device_add", driver="usb-mouse", id="m", bus="x.0")
    assert vm.listed()["m"]["problem"] == "not in the definition"
    before = vm.paths.definition.read_text()
    vm.ok("device remove", "m")
    assert "m" not in vm.plugged()
    assert vm.paths.definition.read_text() == before
    vm.ok("device add", RNG)  # not to the port that is taken
    assert vm.definition["devices"][0]["slot"] == "rp1"


def test_a_board_without_hot_plug(machine: "Make") -> None:
    vm = machine("--profile", "microvm", "--kernel", "/proc/version")
    assert "goes on a bus of the type PCI" in vm.refused(
        2, "device add", "virtio-rng-pci"
    )
    vm.ok("device add", "virtio-rng-device")
    assert vm.definition["devices"][0]["slot"] == "mmio"
    assert "rng1" in vm.listed()
    vm.refused(2, "device add", "usb-tablet")


def test_killed_at_any_step(machine: "Make") -> None:
    """The next command finishes it, or takes it back."""
    vm = machine(start=True)
    for when, index in moments():
        words = ("device", "add", vm.name, "virtio-net-pci")
        if not vm.killed_in(when, index, *words):
            break
        vm.ok("set", "config.shutdown.timeout=9s")
        defined = "nics" in vm.definition
        assert ("net0" in vm.plugged()) == defined
        assert not vm.paths.journal.exists()
        if defined:
            vm.ok("device remove", "net0", "--next-start")
            vm.restart()
    assert index == 3
    assert "net0" in vm.plugged()


def test_removing_killed_at_any_step(machine: "Make") -> None:
    vm = machine(start=True)
    vm.ok("device add", "qemu-xhci")
    for when, index in moments():
        vm.ok("device add", "usb-kbd,id=k")
        if not vm.killed_in(when, index, "device", "remove", vm.name, "k"):
            break
        vm.ok("set", "config.shutdown.timeout=9s")
        defined = len(vm.definition["devices"]) == 2
        assert ("k" in vm.plugged()) == defined
        if defined:
            vm.ok("device remove", "k")
    assert index == 2


def test_a_vm_that_somebody_else_started(
    machine: "Make", real_qemu: "Callable[..., RealQemu]"
) -> None:
    vm = machine()
    other = real_qemu(
        *("-machine", "pc", "-m", "16", "-S"),
        *("-device", "virtio-rng-pci,id=r"),
        *("-device", "piix3-usb-uhci,id=u", "-device", "usb-mouse"),
    )
    who = f"qmp:{other.addresses[0]}"
    done = vm.home("device", "list", who, "--board", "-f", "json")
    assert done.rc == 0, done.err
    rows = {row["id"] or row["kind"]: row for row in done.json}
    assert rows["r"]["place"] == "pci.0:02" and rows["r"]["problem"] is None
    assert rows["input"]["driver"] == "usb-mouse"
    assert rows["Host bridge"]["driver"] is None
    done = vm.home("device", "add", who, "virtio-rng-pci")
    assert done.rc == 4, done.err
    with socket.socket(socket.AF_UNIX) as holder:
        holder.connect(other.addresses[0])
        holder.recv(1)
        done = vm.home(
            "-c", "lock.timeout=0s", "device", "list", f"pid:{other.pid}"
        )
        assert done.rc == 6, done.err


def test_a_vm_with_a_human_monitor_only(
    machine: "Make", tmp_path: Path
) -> None:
    argv = [binary(), "-machine", "none", "-display", "none", "-nodefaults"]
    argv += ["-monitor", f"unix:{tmp_path}/m,server=on,wait=off"]
    vm = machine()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as other:
        try:
            vm.until((tmp_path / "m").exists, "its monitor")
            done = vm.home("device", "list", f"pid:{other.pid}")
        finally:
            other.kill()
    assert done.rc == 4, done.err
    assert "has no QMP monitor" in done.err


def test_a_qemu_that_is_stopped_by_a_signal(machine: "Make") -> None:
    vm = machine(start=True)
    with vm.frozen():
        for words in ("device list", f"device add {vm.name} {RNG}"):
            done = vm.home(
                *words.split(), *([vm.name] if "list" in words else [])
            )
            assert done.rc == 4, done.err
            assert "stopped by a signal" in done.err
    assert "devices" not in vm.definition
