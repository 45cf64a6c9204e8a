"""What commands that make a VM print of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qemu_cli.columns import Named, Size

if TYPE_CHECKING:
    from qemu_cli.instance.model import Definition
    from qemu_cli.paths import InstancePaths


def describe(
    paths: "InstancePaths", definition: "Definition"
) -> tuple[Sequence[str], Sequence[Any]]:
    """Names and values of the new instance, for :class:`ShowOne`."""
    machine = definition.machine
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
            [
                {
                    "host_address": f.host_address,
                    "host_port": f.host_port,
                    "guest_port": f.guest_port,
                    "protocol": f.protocol,
                }
                for f in definition.forwards
            ],
            " ".join(
                f"{f.host_address}:{f.host_port}→{f.guest_port}"
                for f in definition.forwards
            ),
        ),
    }
    return list(row), list(row.values())
