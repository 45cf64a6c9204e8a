"""The column ``ip`` of ``qemu list``."""

import ipaddress
from collections.abc import Iterable

from qemu_cli.columns import Names
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.qmp.agent import Interface


async def ip(host: Host, vm: VM) -> Names | None:
    """The addresses of a guest, as its agent tells them."""
    from qemu_cli.instance import inside

    if vm.state != "running":
        return None
    async with inside.agent(host, vm) as agent:
        return Names(addresses(await agent.interfaces()))


def addresses(interfaces: Iterable[Interface]) -> list[str]:
    """Those that others could reach, IPv4 first."""
    found = [
        ipaddress.ip_interface(text).ip
        for each in interfaces
        for text in each.addresses
    ]
    return [
        str(address)
        for address in sorted(found, key=lambda each: each.version)
        if not (address.is_loopback or address.is_link_local)
    ]
