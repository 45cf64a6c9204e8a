"""The disks of a VM that somebody else started: QEMU alone knows them."""

from typing import NamedTuple

from qemu_cli.errors import StateError
from qemu_cli.instance.discovery.files import full_name
from qemu_cli.instance.disks.chains import Chain, is_board, of_device, unknown
from qemu_cli.instance.host import Host
from qemu_cli.instance.talk import check_runs
from qemu_cli.instance.vm import VM
from qemu_cli.storage import graph
from qemu_cli.storage.graph import Device, Graph, Node

#: The drivers of drives whose medium is changed, by what QEMU calls them.
_FLOPPY = "floppy"


class Disk(NamedTuple):
    """A disk that a guest can write to.

    :param active: the layer that it writes to
    :param file: its file, by the whole name that QEMU has for it
    """

    device: Device
    active: Node
    file: str

    @property
    def id(self) -> str:
        """What it is called here."""
        return self.device.id


async def chains(host: Host, vm: VM) -> list[Chain]:
    """Look at all disks and drives.

    :raise QemuCliError: it can't be asked, or did not answer
    """
    check_runs(vm)
    async with host.sessions.open(vm.monitors) as session:
        found = await graph.read(session)
    return [
        _chain(vm, found, device)
        for device in found.devices
        if not is_board(device) and (device.plugged or device.node)
    ]


def written(vm: VM, found: Graph, *, firmware: bool = False) -> list[Disk]:
    """Find the disks that the guest can write to.

    :param firmware: its variables, too
    """
    disks = []
    for device in found.devices:
        chain = found.chain(device)
        if not chain or chain[0].read_only or not device.plugged:
            continue
        if firmware or not is_board(device):
            file = full_name(vm, chain[0].file)
            disks.append(Disk(device, chain[0], file))
    return disks


def find(vm: VM, found: Graph, id: str) -> Disk:
    """Find a disk that the guest can write to.

    :raise NotFoundError: there is none of that id
    :raise StateError: it is read-only, or empty
    """
    known = [each for each in found.devices if not is_board(each)]
    for device in known:
        if device.id == id:
            for disk in written(vm, found):
                if disk.device == device:
                    return disk
            raise StateError(f"{id} of '{vm.name}' can't be written to")
    raise unknown(vm.name, id, [each.id for each in written(vm, found)])


def _chain(vm: VM, found: Graph, device: Device) -> Chain:
    chain = of_device(found, device)
    layers = tuple(
        layer._replace(file=full_name(vm, layer.file))
        for layer in chain.layers
    )
    chain = chain._replace(layers=layers)
    if device.id.startswith(_FLOPPY):
        return chain._replace(kind="floppy")
    if not device.plugged:
        return chain._replace(kind="disk", problem="no device uses it")
    return chain
