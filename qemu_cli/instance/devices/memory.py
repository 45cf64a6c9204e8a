"""``qemu memory set``: memory plugged in as DIMMs, or out again.

What a machine was started with stays; a DIMM comes or goes as a whole.
(qapi/machine.json: query-memory-devices; docs/memory-hotplug.txt)
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from qemu_cli.errors import StateError, UsageError
from qemu_cli.instance import change
from qemu_cli.instance.blueprint import max_memory_mib
from qemu_cli.instance.devices import sizes
from qemu_cli.instance.devices.add import free_id
from qemu_cli.instance.disks import edit, guard
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.disks.slots import plugged
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Dimm
from qemu_cli.instance.spelling import BACKEND, dimm_device, properties
from qemu_cli.instance.vm import VM
from qemu_cli.steps import Plan
from qemu_cli.steps.block import Plug, Unplug
from qemu_cli.steps.plug import AddMemory, DropMemory
from qemu_cli.units import format_size

_ACTION = "memory set"
_MIB = 1 << 20

#: In such pieces Linux takes memory (x86: memory sections); what is over
#: is lost to it.
_BLOCK_MIB = 128

_ROOM = re.compile(r"size=(\d+)M,slots=(\d+),maxmem=(\d+)M")


class Memory(NamedTuple):
    """The memory of a machine that runs.

    :param base_mib: what it was started with, and can't lose
    :param dimms: by slot; with those of its start that are none of ours
    :param slots: how many DIMMs there can be
    :param most_mib: how much memory, all together
    :param ids: of all devices
    """

    base_mib: int
    dimms: tuple[Dimm, ...]
    slots: int
    most_mib: int
    ids: frozenset[str]

    @property
    def all_mib(self) -> int:
        """What the guest has, if it uses all of it."""
        return self.base_mib + sum(dimm.size_mib for dimm in self.dimms)


async def set_memory(
    host: Host,
    vm: VM,
    size_mib: int,
    *,
    next_start: bool = False,
    timeout_s: float,
    dry_run: bool = False,
) -> Done:
    """Give a VM more memory, or less.

    A next start has all of it in one piece.

    :param next_start: leave the machine that runs as it is
    :param timeout_s: how long the guest may take to let go of a DIMM
    :raise UsageError: the guest could not take this piece
    :raise StateError: the machine that runs can't; says what to change
    :raise TimedOutError: the guest did not let go of one
    :raise RefusedError: the guest, or QEMU, does not want to
    """
    text = f"has {format_size(size_mib * _MIB)} of memory"
    data = {"memory_bytes": size_mib * _MIB, "waits": False}
    if not vm.alive or next_start:
        return await sizes.define(
            *(host, vm, _ACTION, _whole(size_mib), text, data),
            dry_run=dry_run,
        )
    paths = vm.paths
    async with change.changing(host, paths) as now:
        guard.check_changeable(now)
        sizes.check_running(now, "memory")
        memory = await look(host, now)
        plans = []
        for plan in _plans(host, now, memory, size_mib, timeout_s):
            done = Done(plan, text, data)
            await do(host, paths, done, action=_ACTION, dry_run=dry_run)
            plans.append(plan)
    if size_mib > memory.all_mib:
        text += "; the guest may have to bring it online"
    return Done(sizes.together(f"{_ACTION} {paths.name}", plans), text, data)


async def look(host: Host, vm: VM) -> Memory:
    """Ask a QEMU what memory it has.

    :raise StateError: it was started by hand, with other words than ours
    """
    assert vm.process is not None  # noqa: S101
    room = next(filter(None, map(_ROOM.fullmatch, vm.process.argv)), None)
    async with (
        host.sessions.open(vm.monitors) as session,
        session.exchange(),
    ):
        found_mib = await session.execute("query-memory-size-summary")
        found = await session.execute("query-memory-devices")
        ids = await plugged(session)
    dimms = [
        Dimm(
            id=each["data"]["id"],
            size_mib=each["data"]["size"] // _MIB,
            slot=each["data"]["slot"],
        )
        for each in found
        if each["type"] == "dimm"
    ]
    return Memory(
        base_mib=found_mib["base-memory"] // _MIB,
        dimms=tuple(sorted(dimms, key=lambda dimm: dimm.slot)),
        slots=int(room[2]) if room else 0,
        most_mib=int(room[3]) if room else 0,
        ids=ids,
    )


def next_dimm(name: str, memory: Memory, size_mib: int) -> Dimm:
    """Choose the DIMM that is plugged in.  Pure.

    :param name: of the VM
    :raise UsageError: a guest could not take one of this size
    :raise StateError: there is no room for it
    """
    if size_mib % _BLOCK_MIB:
        up_mib = memory.all_mib + -(-size_mib // _BLOCK_MIB) * _BLOCK_MIB
        raise UsageError(
            f"a guest takes memory in pieces of {_BLOCK_MIB} MiB: "
            f"'{name}' has {memory.all_mib} MiB, and can't have {size_mib} "
            "more",
            hint=f"'qemu memory set {name} {up_mib}M'; or --next-start",
        )
    at_start = f"'qemu set {name} machine.max_memory_mib=… "
    at_start += "machine.memory_slots=…' makes room at the next start"
    wanted_mib = memory.all_mib + size_mib
    if not memory.slots:
        raise StateError(
            f"'{name}' was started without room for more memory",
            hint=at_start,
        )
    if wanted_mib > memory.most_mib:
        raise StateError(
            f"'{name}' was started with room for "
            f"{format_size(memory.most_mib * _MIB)}, not for "
            f"{format_size(wanted_mib * _MIB)}",
            hint=f"{at_start}, as does --next-start",
        )
    slot = max((dimm.slot + 1 for dimm in memory.dimms), default=0)
    if slot >= memory.slots:
        raise StateError(
            f"all {memory.slots} slots for memory of '{name}' are taken",
            hint=f"{at_start}; --next-start has all memory in one piece",
        )
    return Dimm(id=free_id("dimm", memory.ids), size_mib=size_mib, slot=slot)


def outgoing(name: str, memory: Memory, size_mib: int) -> list[Dimm]:
    """Choose the DIMMs that go, the last one first.  Pure.

    :raise StateError: there are none that are as large
    """
    going: list[Dimm] = []
    left_mib = size_mib
    sizes_mib = [memory.all_mib]
    for dimm in reversed(memory.dimms):
        sizes_mib.append(sizes_mib[-1] - dimm.size_mib)
        if left_mib > 0:
            going.append(dimm)
            left_mib -= dimm.size_mib
    if left_mib:
        can = ", ".join(f"{mib}M" for mib in sizes_mib[1:])
        raise StateError(
            f"'{name}' runs, and memory goes in the pieces that it came in: "
            + (f"it can have {can}" if can else "it came in one"),
            hint=sizes.LATER,
        )
    return going


def _plans(
    host: Host, vm: VM, memory: Memory, size_mib: int, timeout_s: float
) -> Iterator[Plan]:
    """One for each DIMM, made when the former one has been carried out."""
    paths = vm.paths
    more_mib = size_mib - memory.all_mib
    title = f"{_ACTION} {paths.name}"
    if more_mib > 0:
        dimm = next_dimm(vm.name, memory, more_mib)
        yield _plan_add(host, vm, memory, dimm)
        return
    going = outgoing(vm.name, memory, -more_mib)
    if going:
        sizes.check_asks(vm, "memory")
    left = memory
    for dimm in going:
        left = left._replace(dimms=left.dimms[:-1])
        define = edit.edit(host, paths, _pieces(left)).step
        steps = (
            Unplug(dimm.id, timeout_s),
            define,
            DropMemory(f"{BACKEND}{dimm.id}"),
        )
        # What the guest has let go of, it does not get back.
        yield Plan(f"{title} {dimm.id}", steps, 1)
    if not going and vm.definition.memory_mib != size_mib:
        define = edit.edit(host, paths, _pieces(memory)).step
        yield Plan(title, (define,))


def _plan_add(host: Host, vm: VM, memory: Memory, dimm: Dimm) -> Plan:
    paths = vm.paths
    words = vm.process.argv if vm.process else ()
    shared = any(word.startswith("memory-backend-memfd,") for word in words)
    now = memory._replace(dimms=(*memory.dimms, dimm))
    return Plan(
        f"{_ACTION} {paths.name} {dimm.id}",
        (
            edit.edit(host, paths, _pieces(now)).step,
            AddMemory(f"{BACKEND}{dimm.id}", dimm.size_mib * _MIB, shared),
            Plug(properties(dimm_device(dimm))),
        ),
    )


def _pieces(memory: Memory) -> Callable[[Any], None]:
    """What writes the memory of a running machine down, as it is."""
    return lambda document: _write(document, memory.base_mib, memory.dimms)


def _whole(size_mib: int) -> Callable[[Any], None]:
    """What writes memory down that is in one piece."""

    def change_it(document: Any) -> None:
        _write(document, size_mib, ())
        machine = document["machine"]
        if 0 < machine.get("max_memory_mib", 0) < size_mib:
            machine["max_memory_mib"] = max_memory_mib(size_mib)

    return change_it


def _write(document: Any, base_mib: int, dimms: Sequence[Dimm]) -> None:
    document["machine"]["memory_mib"] = base_mib
    document.pop("dimms", None)
    for dimm in dimms:
        edit.append(document, "dimms", msgspec.to_builtins(dimm))
