"""The column ``ip`` of ``qemu list``."""

from qemu_cli.columns import Names
from qemu_cli.instance.host import Host
from qemu_cli.instance.net.addresses import addresses
from qemu_cli.instance.vm import VM


async def ip(host: Host, vm: VM) -> Names | None:
    """The addresses of a guest, as its agent tells them."""
    from qemu_cli.instance import inside

    if vm.state != "running":
        return None
    async with inside.agent(host, vm) as agent:
        return Names(addresses(await agent.interfaces()))
