"""The machine that a RAM fits to, as words of QEMU's command line.

A disk can be plugged in while the machine runs, and what it writes to
changes with each overlay: both are in the definition, and not looked for
here.
"""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from qemu_cli.errors import StateError
from qemu_cli.extensions import pick
from qemu_cli.instance import argv as command_line
from qemu_cli.instance import saved
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
    profile = pick("qemu_cli.profiles", definition.profile)()
    extra = host.hooks.add_arguments(vm_facts(paths, definition))
    return words(
        command_line.build(
            definition, profile, paths, binary=Path(binary), extra=extra
        )
    )


def memory(host: Host, vm: VM, definition: Definition) -> Memory:
    """Return what the RAM of a running VM fits to; its size comes later.

    :raise StateError: the definition makes another machine
    """
    assert vm.process is not None  # noqa: S101
    assert vm.version is not None  # noqa: S101
    argv = vm.process.argv
    now = words(argv)
    defined = of_definition(host, vm.paths, definition, argv[0])
    if now != defined:
        others = [word for word in defined if word not in now]
        others += [word for word in now if word not in defined]
        raise StateError(
            f"the definition of '{vm.name}' makes another machine than the "
            f"one that runs ({', '.join(others[:1]) or 'in another order'}):"
            " nobody could go back to its RAM",
            hint="undo that change, or restart the VM, so that it counts; "
            "--external takes the disks alone",
        )
    running = vm.state == "running"
    return Memory(now, vm.version, running, size_bytes=0, seconds=0.0)
