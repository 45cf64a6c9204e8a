"""CPUs and memory that come and go, as a real guest sees them."""

import secrets
from typing import TYPE_CHECKING

from tests.functional.devices.test_sizes import cpus, memory_mib

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.devices.conftest import PlugVM

    Guest = Callable[..., PlugVM]

#: What else than movable pages lies in a DIMM keeps it there.
ONLINE = (
    "{ for f in /sys/devices/system/cpu/cpu*/online; do echo 1 > $f; done; "
    "for f in /sys/devices/system/memory/memory*/state; "
    "do grep -q offline $f && echo online_movable > $f; done; } 2>/dev/null"
)


def seen_cpus(vm: "PlugVM") -> int:
    vm.ask(ONLINE)
    return int(vm.ask("grep -c ^processor /proc/cpuinfo"))


def seen_mib(vm: "PlugVM") -> int:
    vm.ask(ONLINE)
    return int(vm.ask("grep MemTotal /proc/meminfo").split()[1]) // 1024


def test_cpus_come_and_go(guest: "Guest") -> None:
    vm = guest()
    vm.ok("cpu set", "3")
    vm.until(lambda: seen_cpus(vm) == 3, "the guest has three CPUs")
    vm.ok("cpu set", "1", "--timeout", "30s")
    assert (cpus(vm), seen_cpus(vm)) == (1, 1)
    assert "cpus" not in vm.definition


def test_memory_comes_and_goes(guest: "Guest") -> None:
    vm = guest()
    before = seen_mib(vm)
    vm.ok("memory set", "384M")
    vm.until(lambda: seen_mib(vm) > before + 100, "the guest has it")
    vm.ok("memory set", "256M", "--timeout", "30s")
    assert memory_mib(vm) == 256
    assert seen_mib(vm) == before
    assert "dimms" not in vm.definition
    assert "mem-dimm1" not in vm.plugged()


def test_a_ram_with_what_was_plugged_in(guest: "Guest") -> None:
    """A snapshot, and a saved state, of the machine as it became."""
    vm = guest("--disk", "64M")
    token = secrets.token_hex(8)
    vm.ask(f"token={token}")
    vm.ok("cpu set", "2")
    vm.ok("memory set", "384M")
    vm.until(lambda: seen_cpus(vm) == 2, "the guest has two CPUs")
    vm.ok("snapshot create", "with")
    vm.ok("cpu set", "3")
    said = vm.ok("snapshot revert", "with", "--yes").err
    assert "goes on in a new QEMU" in said
    assert (cpus(vm), memory_mib(vm)) == (2, 384)
    assert token in vm.ask("echo $token")
    vm.ok("save")
    vm.ok("start")
    assert token in vm.ask("echo $token")
    assert (cpus(vm), memory_mib(vm), seen_cpus(vm)) == (2, 384, 2)
