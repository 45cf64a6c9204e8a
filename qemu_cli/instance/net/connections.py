"""What goes through a VM's user networks now."""

from typing import NamedTuple

from qemu_cli.errors import StateError
from qemu_cli.instance.forwards.flows import flows
from qemu_cli.instance.host import Host
from qemu_cli.instance.inside import check_runs
from qemu_cli.instance.vm import VM


class Connection(NamedTuple):
    """A line of the table of QEMU's network stack; see ``usernet.Flow``.

    :param nic: the id of the user network
    """

    nic: str
    protocol: str
    state: str
    source: str
    source_port: int
    target: str
    target_port: int
    receiving_bytes: int
    sending_bytes: int
    fd: int


async def connections(host: Host, vm: VM) -> list[Connection]:
    """Ask a VM that runs; forwards that listen are among them.

    :raise StateError: it does not run, or has no user network
    """
    check_runs(vm)
    found = await flows(host, vm)
    if not found:
        raise StateError(
            f"'{vm.name}' has no NIC in a user network",
            hint="of a bridge the host's own tools tell: ss, tcpdump",
        )
    return [
        Connection(*flow) for several in found.values() for flow in several
    ]
