"""The addresses of guests, as far as they are known on this host."""

import ipaddress
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from qemu_cli.errors import QemuCliError
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS
from qemu_cli.proc.view import View

if TYPE_CHECKING:
    from qemu_cli.qmp.agent import Interface

#: An agent that runs answers sooner, in seconds.
_PATIENCE_S = 0.5

#: Of a line of /proc/net/arp: the entry is complete (if_arp.h, ATF_COM).
_COMPLETE = 0x2


def addresses(interfaces: "Iterable[Interface]") -> list[str]:
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


async def of_agent(host: Host, vm: VM) -> dict[str, tuple[str, ...]]:
    """Ask a guest's agent for the addresses of each card, by its MAC.

    :return: empty when no agent answers at once
    """
    if vm.state != "running" or vm.monitors.agent is None:
        return {}
    try:
        async with host.sessions.agent(
            vm.monitors, timeout_s=_PATIENCE_S
        ) as agent:
            interfaces = await agent.interfaces()
    except QemuCliError:
        return {}
    return {
        each.mac.lower(): tuple(addresses([each]))
        for each in interfaces
        if each.mac
    }


def of_neighbours() -> Mapping[str, tuple[str, ...]]:
    """The IPv4 addresses of who this host has talked to, by MAC (arp(7))."""
    text = View(ProcFS(), os.getpid()).text("net/arp") or ""
    return read_arp(text)


def read_arp(text: str) -> dict[str, tuple[str, ...]]:
    """Read ``/proc/net/arp``; entries without an answer are left out."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) == 6 and int(words[2], 16) & _COMPLETE:
            mac = words[3].lower()
            found[mac] = (*found.get(mac, ()), words[0])
    return found
