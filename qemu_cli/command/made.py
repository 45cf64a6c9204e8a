"""What commands that make a VM print of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qemu_cli.columns import Named, Size
from qemu_cli.instance import facts

if TYPE_CHECKING:
    from qemu_cli.instance.model import Definition
    from qemu_cli.paths import InstancePaths


def describe(
    paths: "InstancePaths", definition: "Definition"
) -> tuple[Sequence[str], Sequence[Any]]:
    """Names and values of the new instance, for :class:`ShowOne`."""
    machine = definition.machine
    forwards = facts.from_definition(definition).forwards
    row = {
        "name": paths.name,
        "directory": str(paths.directory),
        "arch": definition.arch,
        "machine": machine.type,
        "accel": machine.accel,
        "cpus": machine.cpus,
        "memory_mib": Size(machine.memory_mib, unit=1 << 20),
        "firmware": definition.firmware.kind,
        "disks": Named(
            [disk.file for disk in definition.disks],
            ", ".join(f"{d.id}: {d.file}" for d in definition.disks),
        ),
        "forwards": Named(
            [forward._asdict() for forward in forwards],
            " ".join(f"{each.host_address}:{each}" for each in forwards),
        ),
    }
    return list(row), list(row.values())
