"""What is served, of which VM, by whom."""

from collections.abc import Iterable
from typing import NamedTuple

from qemu_cli.errors import QemuCliError
from qemu_cli.instance.exports import daemon, records
from qemu_cli.instance.exports.model import Export
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS


class Served(NamedTuple):
    """Something that is served.

    :param id: as QEMU knows it
    :param export: our record of it; None: somebody made it by hand
    :param pid: who serves it
    """

    vm: str
    id: str
    export: Export | None
    pid: int


async def listing(host: Host, vms: Iterable[VM]) -> list[Served]:
    """Ask all who serve something; what only stands in a record is left out.

    A VM that can't be asked is warned of.
    """
    listening = ProcFS().listening()
    found = []
    for vm in vms:
        known = records.read(vm.paths)
        found += _by_daemons(vm, known)
        # A server of somebody's own may be anywhere.
        if known or vm.foreign or str(vm.paths.nbd_socket) in listening:
            try:
                found += await _by_qemu(host, vm, known)
            except QemuCliError as error:
                host.warn(f"{vm.name}: its exports are not known: {error}")
    return found


async def _by_qemu(
    host: Host, vm: VM, known: Iterable[Export]
) -> list[Served]:
    if vm.process is None:
        return []
    async with host.sessions.open(vm.monitors) as session:
        exports = await session.execute("query-block-exports")
    ids = {export["id"] for export in exports}
    mine = {e.id: e for e in known if e.server == "qemu"}
    ours = [id for id in mine if id in ids]
    return [
        Served(vm.name, id, mine.get(id), vm.process.pid)
        for id in [*ours, *sorted(ids.difference(ours))]
    ]


def _by_daemons(vm: VM, known: Iterable[Export]) -> list[Served]:
    return [
        Served(vm.name, export.id, export, process.pid)
        for export in known
        if export.server == "daemon"
        and (process := daemon.alive(vm.paths, export))
    ]
