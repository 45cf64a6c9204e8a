"""The machine that a RAM fits to, as words of QEMU's command line.

A disk can be plugged in while the machine runs, and what it writes to
changes with each overlay: both are in the definition, and not looked for
here.
"""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from qemu_cli.extensions import pick
from qemu_cli.instance import argv, saved
from qemu_cli.instance.host import Host, vm_facts
from qemu_cli.instance.model import Definition
from qemu_cli.paths import InstancePaths

#: Devices that have a medium: a disk, or a CD drive, which may be empty.
_WITH_MEDIUM = re.compile(r"(?:.*,)?drive=.*|\w+-cd,.*")


def words(command_line: Sequence[str]) -> list[str]:
    """Return what must be the same for a RAM to be loaded.

    :param command_line: of QEMU
    """
    found = saved.comparable(command_line)
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
        argv.build(
            definition, profile, paths, binary=Path(binary), extra=extra
        )
    )
