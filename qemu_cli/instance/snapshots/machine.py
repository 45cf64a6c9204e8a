"""The machine that a RAM fits to, as words of QEMU's command line.

What a disk writes to changes with each overlay, and it is in the
definition: disks are not looked for here.  All else that was plugged in,
or out, since QEMU was started counts.
"""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import StateError
from qemu_cli.extensions import pick
from qemu_cli.instance import argv as command_line
from qemu_cli.instance import saved
from qemu_cli.instance.devices.words import with_plugged
from qemu_cli.instance.disks import slots
from qemu_cli.instance.host import Host, vm_facts
from qemu_cli.instance.model import Definition
from qemu_cli.instance.snapshots.store import Memory
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths

#: Devices that have a medium: a disk, or a CD drive, which may be empty.
_WITH_MEDIUM = re.compile(r"(?:.*,)?drive=.*|\w+-cd,.*")


def words(argv: Sequence[str]) -> list[str]:
    """Return what must be the same for a RAM to be loaded.

    :param argv: of QEMU
    """
    found = saved.comparable(argv)
    dropped = set()
    for index, (option, value) in enumerate(itertools.pairwise(found)):
        if option == "-blockdev" or (
            option == "-device" and _WITH_MEDIUM.fullmatch(value)
        ):
            dropped |= {index, index + 1}
    return [word for index, word in enumerate(found) if index not in dropped]


def of_definition(
    host: Host, paths: InstancePaths, definition: Definition, binary: str
) -> list[str]:
    """Return the words of the machine that a definition makes.

    :param binary: the emulator, by whatever name
    """
    return words(argv_of(host, paths, definition, binary))


def argv_of(
    host: Host, paths: InstancePaths, definition: Definition, binary: str
) -> tuple[str, ...]:
    """Return the command line that starts a definition.

    :param binary: the emulator, by whatever name
    """
    profile = pick("qemu_cli.profiles", definition.profile)()
    extra = host.hooks.add_arguments(vm_facts(paths, definition))
    return command_line.build(
        definition, profile, paths, binary=Path(binary), extra=extra
    )


class Running(NamedTuple):
    """The machine that runs, with what was plugged in since its start.

    :param ids: of all devices that have one
    """

    words: list[str]
    ids: frozenset[str]


async def running(host: Host, vm: VM, defined: Sequence[str]) -> Running:
    """Look at the machine that runs.

    :param defined: that of its definition, which knows what was plugged in
    """
    assert vm.process is not None  # noqa: S101
    async with host.sessions.open(vm.monitors) as session:
        ids = await slots.plugged(session)
    now = with_plugged(words(vm.process.argv), defined, ids)
    return Running(now, ids)


async def difference(
    host: Host, vm: VM, definition: Definition, defined: Sequence[str]
) -> str:
    """Name what a running machine and that of its definition do not share.

    :param defined: the latter, see :func:`of_definition`
    :return: empty: they are the same machine
    """
    assert vm.process is not None  # noqa: S101
    now, ids = await running(host, vm, defined)
    others = [word for word in defined if word not in now]
    others += [word for word in now if word not in defined]
    if others:
        return others[0]
    if sorted(now) != sorted(defined):
        return "in another order"
    known = ids_of(vm.process.argv)
    known |= definition.ids
    by_hand = sorted(ids - known)
    return f"{by_hand[0]} was plugged in by hand" if by_hand else ""


def ids_of(argv: Sequence[str]) -> set[str]:
    """The ids of all devices of a command line."""
    return {
        part.removeprefix("id=")
        for option, value in itertools.pairwise(argv)
        if option == "-device"
        for part in value.split(",")
        if part.startswith("id=")
    }


async def memory(host: Host, vm: VM, definition: Definition) -> Memory:
    """Return what the RAM of a running VM fits to; its size comes later.

    :raise StateError: the definition makes another machine
    """
    assert vm.process is not None  # noqa: S101
    assert vm.version is not None  # noqa: S101
    defined = of_definition(host, vm.paths, definition, vm.process.argv[0])
    if other := await difference(host, vm, definition, defined):
        raise StateError(
            f"the definition of '{vm.name}' makes another machine than the "
            f"one that runs ({other}): nobody could go back to its RAM",
            hint="undo that change, or restart the VM, so that it counts; "
            "--external takes the disks alone",
        )
    is_running = vm.state == "running"
    return Memory(defined, vm.version, is_running, size_bytes=0, seconds=0.0)
