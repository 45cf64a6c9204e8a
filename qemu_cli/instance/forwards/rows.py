"""The forwards that a VM has."""

from collections.abc import Iterable
from typing import NamedTuple

from qemu_cli.instance.forwards.flows import flows
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.steps.usernet import FORWARD, Flow


class Row(NamedTuple):
    """A forward, and whether it is where it should be.

    :param problem: why it does not work now, or won't at the next start
    """

    nic: str
    protocol: str
    host_address: str
    host_port: int
    guest_port: int
    problem: str | None = None

    @property
    def rule(self) -> str:
        """What QEMU calls it."""
        return (
            f"{self.protocol}:{self.host_address}:{self.host_port}"
            f"-:{self.guest_port}"
        )

    @property
    def text(self) -> str:
        """For people."""
        suffix = "/udp" if self.protocol == "udp" else ""
        return (
            f"{self.host_address}:{self.host_port} → {self.guest_port}{suffix}"
        )

    @property
    def words(self) -> str:
        """As it is typed."""
        suffix = "/udp" if self.protocol == "udp" else ""
        return (
            f"{self.host_address}:{self.host_port}:{self.guest_port}{suffix}"
        )


async def rows(host: Host, vm: VM) -> list[Row]:
    """All forwards of a VM, of the next start and of now."""
    defined = [] if vm.foreign else list(defined_rows(vm))
    if not vm.alive:
        return defined
    live = live_rows(await flows(host, vm))
    if vm.foreign:
        return live
    found = [
        row if row in live else row._replace(problem="from the next start on")
        for row in defined
    ]
    found += [
        row._replace(problem="until it ends: not in the definition")
        for row in live
        if row not in defined
    ]
    return found


def defined_rows(vm: VM) -> Iterable[Row]:
    """Those that the next start has."""
    for nic in vm.definition.nics:
        for each in nic.forwards:
            yield Row(
                nic.id,
                each.protocol,
                each.host_address,
                each.host_port,
                each.guest_port,
            )


def live_rows(flows: dict[str, list[Flow]]) -> list[Row]:
    """Those that QEMU listens on."""
    return sorted(
        Row(
            netdev, flow.protocol, flow.source, flow.source_port,
            flow.target_port,
        )
        for netdev, several in flows.items()
        for flow in several
        if flow.state == FORWARD
    )  # fmt: skip
