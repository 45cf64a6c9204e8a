"""What is wrong with this host, and with the VMs on it.

Each check stands for itself: one that can't be done is a finding, and the
others go on.
"""

from qemu_cli.instance.doctor.check import Check, Checker, fail
from qemu_cli.instance.doctor.instances import changes, leftovers, locks, vms
from qemu_cli.instance.doctor.places import directories, sockets, space
from qemu_cli.instance.doctor.programs import emulators, firmwares, kvm, tools
from qemu_cli.instance.doctor.services import bridge, linger, plugins
from qemu_cli.instance.host import Host

__all__ = ("Check", "examine")

_CHECKS: tuple[Checker, ...] = (
    emulators,
    kvm,
    tools,
    firmwares,
    bridge,
    directories,
    sockets,
    space,
    linger,
    plugins,
    vms,
    leftovers,
    changes,
    locks,
)


async def examine(host: Host) -> list[Check]:
    """Do all checks; takes seconds, as guests are booted to try KVM."""
    found: list[Check] = []
    for check in _CHECKS:
        try:
            found += await check(host)
        except Exception as error:  # noqa: BLE001  the others go on
            name = check.__name__
            found.append(fail(name, f"can't be looked at: {error}"))
    return found
