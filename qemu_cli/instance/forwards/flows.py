"""The user networks of a VM: what QEMU's own network stack does now."""

from typing import TYPE_CHECKING

from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.steps import usernet
from qemu_cli.steps.usernet import Flow

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session


async def flows(host: Host, vm: VM) -> dict[str, list[Flow]]:
    """Ask a VM for its sockets, by the id of each user network.

    :return: empty when it does not run, or has no user network
    """
    if not vm.alive:
        return {}
    async with host.sessions.open(vm.monitors) as session:
        return await ask(session)


async def ask(session: "Session") -> dict[str, list[Flow]]:
    """The same, of one that a session is open to."""
    return usernet.parse(await session.human("info usernet"))
