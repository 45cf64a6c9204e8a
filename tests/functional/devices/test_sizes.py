"""cpu set, memory set: no guest is needed to plug something in."""

from typing import TYPE_CHECKING, Any

from tests.functional.killing import moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from qemu_cli.testing.real_qemu import RealQemu
    from tests.functional.devices.conftest import PlugVM

    Make = Callable[..., PlugVM]

MIB = 1 << 20


def cpus(vm: "PlugVM") -> int:
    return len(vm.qmp("query-cpus-fast"))


def memory_mib(vm: "PlugVM") -> int:
    sizes = vm.qmp("query-memory-size-summary")
    return sum(sizes.values()) // MIB


def dimms(vm: "PlugVM") -> dict[str, Any]:
    """The DIMMs that QEMU has, by id."""
    found = vm.qmp("query-memory-devices")
    return {each["data"]["id"]: each["data"] for each in found}


def test_cpus_are_plugged_in_and_there_at_the_next_start(
    machine: "Make",
) -> None:
    vm = machine(start=True)
    done = vm.ok("cpu set", "3", "-f", "json").json
    assert done == {"cpus": 3, "waits": False}
    assert cpus(vm) == 3
    assert vm.definition["machine"]["cpus"] == 1
    assert [each["id"] for each in vm.definition["cpus"]] == ["cpu1", "cpu2"]
    said = vm.ok("cpu set", "3").err
    assert f"{vm.name}: has 3 CPUs" in said
    assert "online" not in said
    assert [row["kind"] for row in vm.listed().values()].count("cpu") == 2
    vm.restart()
    assert cpus(vm) == 3
    assert vm.listed()["cpu2"]["problem"] is None
    vm.ok("quit")
    assert vm.home("show", vm.name, "-f", "json").json["cpus"] == 3


def test_memory_is_plugged_in_and_there_at_the_next_start(
    machine: "Make",
) -> None:
    vm = machine(start=True)
    said = vm.ok("memory set", "192M").err
    assert "has 192.0 MiB of memory; the guest may have to bring it" in said
    assert memory_mib(vm) == 192
    assert vm.ok("memory set", "448M", "-f", "json").json == {
        "memory_bytes": 448 * MIB,
        "waits": False,
    }
    assert memory_mib(vm) == 448
    assert vm.definition["machine"]["memory_mib"] == 64
    sizes = [(each["id"], each["slot"]) for each in vm.definition["dimms"]]
    assert sizes == [("dimm1", 0), ("dimm2", 1)]
    row = vm.listed()["dimm2"]
    assert (row["kind"], row["place"], row["problem"]) == (
        *("memory", "dimm:1"),
        None,
    )
    before = {id: each["addr"] for id, each in dimms(vm).items()}
    vm.restart()
    # The same machine: memory that was written down would fit to it.
    assert {id: each["addr"] for id, each in dimms(vm).items()} == before
    assert memory_mib(vm) == 448
    assert vm.listed()["dimm1"]["place"] == "dimm:0"


def test_a_stopped_vm_has_it_all_in_one_piece(machine: "Make") -> None:
    vm = machine(start=True)
    vm.ok("memory set", "192M")
    waits = vm.ok("memory set", "320M", "--next-start")
    assert "has 320.0 MiB of memory after the next start" in waits.err
    assert memory_mib(vm) == 192
    vm.ok("cpu set", "2", "--next-start")
    assert cpus(vm) == 1
    vm.restart()
    assert (cpus(vm), memory_mib(vm), dimms(vm)) == (2, 320, {})
    vm.ok("quit")
    vm.ok("memory set", "96M")
    vm.ok("cpu set", "1")
    assert vm.home("show", vm.name, "-f", "json").json["memory_mib"] == 96
    vm.ok("start")
    assert (cpus(vm), memory_mib(vm)) == (1, 96)


def test_what_waits_is_undone_by_what_is_now(machine: "Make") -> None:
    """The definition says in the end what was asked for last."""
    vm = machine(start=True)
    vm.ok("cpu set", "4", "--next-start")
    vm.ok("memory set", "1G", "--next-start")
    vm.ok("cpu set", "1")
    vm.ok("memory set", "64M")
    assert vm.definition["machine"]["cpus"] == 1
    assert vm.definition["machine"]["memory_mib"] == 64
    vm.restart()
    assert (cpus(vm), memory_mib(vm)) == (1, 64)


def test_a_dry_run_shows_what_is_said_to_qemu(machine: "Make") -> None:
    vm = machine(start=True)
    before = vm.state()
    shown = vm.ok("cpu set", "3", "--dry-run").out
    assert shown.count('{"execute": "device_add"') == 2
    shown = vm.ok("memory set", "192M", "--dry-run").out
    assert '"qom-type": "memory-backend-ram"' in shown
    assert '"driver": "pc-dimm"' in shown
    assert (vm.state(), cpus(vm), memory_mib(vm)) == (before, 1, 64)


def test_what_can_not_be(machine: "Make") -> None:
    vm = machine(start=True)
    vm.ok("quit")
    vm.ok("set", "machine.max_cpus=2", "machine.max_memory_mib=512")
    vm.ok("set", "machine.memory_slots=1", "machine.type=pc-q35-7.2")
    vm.ok("start")
    said = vm.refused(4, "cpu set", "3")
    assert "was started with room for 2 CPUs, not for 3" in said
    assert f"'qemu cpu set {vm.name} 3 --next-start'" in said
    said = vm.refused(4, "memory set", "1088M")
    assert "with room for 512.0 MiB, not for 1.1 GiB" in said
    assert "machine.max_memory_mib=" in said
    vm.ok("cpu set", "2")
    vm.restart()
    said = vm.refused(2, "memory set", "100M")
    assert f"'qemu memory set {vm.name} 192M'" in said
    assert "it came in one" in vm.refused(4, "memory set", "32M")
    vm.ok("memory set", "192M")
    assert "all 1 slots" in vm.refused(4, "memory set", "320M")
    assert "it can have 64M" in vm.refused(4, "memory set", "128M")
    for number in ("0", "-1", "many", "99999"):
        assert vm.run("cpu set", "--", number).rc == 2
    for size in ("0", "1000K", "x"):
        assert vm.run("memory set", size).rc == 2
    assert "has at most" in vm.refused(2, "cpu set", "4000", "--next-start")


def test_a_guest_that_can_not_react(machine: "Make") -> None:
    vm = machine(start=True)
    vm.ok("cpu set", "2")
    vm.ok("memory set", "192M")
    # There is no operating system in it that would let go.
    said = vm.refused(5, "cpu set", "1", "--timeout", "1s")
    assert "no operating system runs there" in said
    assert "has not let go of dimm1" in vm.refused(
        7, "memory set", "64M", "--timeout", "1s"
    )
    vm.ok("pause")
    assert "is paused" in vm.refused(4, "cpu set", "1")
    assert "is paused" in vm.refused(4, "memory set", "64M")
    # More of it comes all the same.
    vm.ok("cpu set", "3")
    vm.ok("memory set", "320M")
    assert (cpus(vm), memory_mib(vm)) == (3, 320)


def test_a_machine_without_hot_plug(machine: "Make") -> None:
    vm = machine("--profile", "microvm", start=True)
    for words in (("cpu set", "2"), ("memory set", "192M")):
        said = vm.refused(4, *words)
        assert "a microvm machine takes no" in said
        assert "--next-start" in said


def test_somebody_elses(
    machine: "Make", real_qemu: "Callable[..., RealQemu]"
) -> None:
    home = machine().home
    qemu = real_qemu("-machine", "none")
    for words in (("cpu", "set", "2"), ("memory", "set", "1G")):
        refused = home(*words[:2], f"pid:{qemu.pid}", words[2])
        assert refused.rc == 4
        assert "its next start would not know" in refused.err


def test_cpu_set_killed_at_any_step(machine: "Make") -> None:
    """The definition says what the machine has, in the end."""
    vm = machine(start=True)
    for when, index in moments():
        if not vm.killed_in(when, index, "cpu", "set", vm.name, "2"):
            break
        vm.ok("set", "config.shutdown.timeout=9s")
        assert not vm.paths.journal.exists()
        assert cpus(vm) == 1 + len(vm.definition.get("cpus", ()))
        if cpus(vm) == 2:
            vm.ok("cpu set", "1", "--next-start")
            vm.restart()
    assert index == 2
    assert cpus(vm) == 2


def test_memory_set_killed_at_any_step(machine: "Make") -> None:
    vm = machine(start=True)
    for when, index in moments():
        if not vm.killed_in(when, index, "memory", "set", vm.name, "192M"):
            break
        vm.ok("set", "config.shutdown.timeout=9s")
        assert not vm.paths.journal.exists()
        assert len(dimms(vm)) == len(vm.definition.get("dimms", ()))
        assert ("mem-dimm1" in vm.plugged()) == bool(dimms(vm))
        if dimms(vm):
            vm.ok("memory set", "64M", "--next-start")
            vm.restart()
    assert index == 3
    assert memory_mib(vm) == 192
