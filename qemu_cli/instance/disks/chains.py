"""What each disk consists of: its backing chain, running or not.

Of a running VM QEMU is asked, which knows more than the definition: what
it has plugged in, and how it calls its nodes.  Of any other the images
are, each for itself, so that a missing one hides none above it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qemu_cli.errors import NotFoundError, QemuCliError
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.storage import graph, images, tools
from qemu_cli.storage.dependants import identity, local_files
from qemu_cli.suggest import did_you_mean

if TYPE_CHECKING:
    from qemu_cli.instance.model import Cdrom, Definition, Disk

#: States in which QEMU answers questions.
_ANSWERS = frozenset({"running", "paused", "busy"})

#: Devices of the board that are no disks: the firmware's.
_BOARD = ("system.flash", "pflash")


class Layer(NamedTuple):
    """One image of a chain; None where nobody could say.

    :param node: QEMU's name for it, while it runs
    :param problem: what is wrong with it
    """

    file: str
    format: str | None
    virtual_size_bytes: int | None = None
    actual_size_bytes: int | None = None
    node: str | None = None
    read_only: bool | None = None
    snapshots: tuple[str, ...] = ()
    bitmaps: tuple[str, ...] = ()
    problem: str | None = None


class Chain(NamedTuple):
    """A disk or a CD drive, and its layers, active layer first.

    :param device: what the definition says; None: plugged in by hand
    :param filters: drivers that stand between it and its layers
    :param problem: what is wrong with it as a whole
    """

    id: str
    kind: str
    device: "Disk | Cdrom | None"
    layers: tuple[Layer, ...]
    filters: tuple[str, ...] = ()
    problem: str | None = None


async def chains(host: Host, vm: VM) -> list[Chain]:
    """Look at all disks and CD drives of a VM, whoever started it.

    :raise DefinitionError: its definition can't be understood
    :raise QemuCliError: QEMU did not answer
    """
    if vm.foreign:
        from qemu_cli.instance.disks import strangers  # it uses this module

        return await strangers.chains(host, vm)
    definition = vm.definition
    if vm.alive and vm.state in _ANSWERS:
        async with host.sessions.open(vm.monitors) as session:
            return _running(definition, await graph.read(session))
    tool = tools.find("qemu-img", host.config)
    here = vm.paths.directory
    found = [
        Chain(
            *(disk.id, "disk", disk),
            await stored(tool, here / disk.file, disk.format),
        )
        for disk in definition.disks
    ]
    for cdrom in definition.cdroms:
        layers: tuple[Layer, ...] = ()
        if cdrom.file:
            layers = await stored(tool, here / cdrom.file, "raw")
        found.append(Chain(cdrom.id, "cdrom", cdrom, layers))
    return found


async def chain(host: Host, vm: VM, id: str) -> Chain:
    """Look at one disk or CD drive.

    :raise NotFoundError: the VM has none of that id
    """
    found = await chains(host, vm)
    for each in found:
        if each.id == id:
            return each
    raise unknown(vm.name, id, [each.id for each in found])


def unknown(
    name: str, id: str, known: list[str], what: str = "disk"
) -> NotFoundError:
    """Return the error for a disk that a VM does not have."""
    has = f"it has {', '.join(known)}" if known else "it has none"
    return NotFoundError(
        f"'{name}' has no {what} '{id}'", hint=did_you_mean(id, known) or has
    )


def _running(definition: "Definition", found: graph.Graph) -> list[Chain]:
    defined: list[Disk | Cdrom] = [*definition.disks, *definition.cdroms]
    devices = {device.id: device for device in defined}
    plugged: list[Chain] = []
    for device in found.devices:
        if is_board(device):
            continue
        mine = devices.pop(device.id, None)
        problem = None if mine else "not in the definition"
        chain = of_device(found, device)
        chain = chain._replace(layers=tuple(map(_there, chain.layers)))
        plugged.append(chain._replace(device=mine, problem=problem))
    waiting = [
        Chain(
            id=device.id,
            kind="disk" if device in definition.disks else "cdrom",
            device=device,
            layers=(),
            problem="not plugged in before the next start",
        )
        for device in devices.values()
    ]
    order = [each.id for each in (*defined, *plugged)]
    return sorted([*plugged, *waiting], key=lambda each: order.index(each.id))


def _there(layer: Layer) -> Layer:
    """Say of a file that is gone that only the QEMU that runs has it."""
    path = Path(layer.file)
    if not path.is_absolute() or path.exists():
        return layer
    return layer._replace(problem="missing: only its QEMU has it")


def is_board(device: graph.Device) -> bool:
    """Whether it is the board's own, and no disk."""
    return device.id.startswith(_BOARD)


def of_device(found: graph.Graph, device: graph.Device) -> Chain:
    """Return what a device of a running VM reads."""
    return Chain(
        id=device.id,
        kind="cdrom" if device.removable else "disk",
        device=None,
        layers=tuple(map(_node, found.chain(device))),
        filters=tuple(n.driver for n in found.filters(device)),
    )


def _node(node: graph.Node) -> Layer:
    return Layer(
        file=node.file,
        format=node.driver,
        virtual_size_bytes=node.virtual_size_bytes,
        actual_size_bytes=node.actual_size_bytes,
        node=node.name,
        read_only=node.read_only,
        snapshots=node.snapshots,
        bitmaps=node.bitmaps,
    )


async def stored(
    qemu_img: str, file: Path, image_format: str | None
) -> tuple[Layer, ...]:
    """Look at an image and all below it; what is missing ends the chain.

    :param image_format: as it is stored
    """
    layers: list[Layer] = []
    seen = set()
    name: str | None = str(file)
    beside = file
    while name is not None:
        files = local_files(name, beside)
        if len(files) != 1:  # nbd://…, or several: QEMU's business
            layers.append(Layer(name, image_format))
            break
        path = files[0].resolve() if layers else files[0]
        if identity(path) in seen:
            layers[-1] = layers[-1]._replace(problem="it stands on itself")
            break
        seen.add(identity(path))
        if not path.exists():
            missing = Layer(str(path), image_format, problem="missing")
            layers.append(missing)
            break
        try:
            image = await images.info(qemu_img, path, format=image_format)
        except QemuCliError as error:
            layers.append(Layer(str(path), image_format, problem=str(error)))
            break
        layers.append(_image(path, image))
        name, image_format = image.backing_file, image.backing_format
        beside = path
    return tuple(layers)


def _image(path: Path, image: images.ImageInfo) -> Layer:
    return Layer(
        file=str(path),
        format=image.format,
        virtual_size_bytes=image.virtual_size_bytes,
        actual_size_bytes=image.actual_size_bytes,
        snapshots=tuple(each.name for each in image.snapshots),
        problem="corrupt: see 'qemu-img check'" if image.corrupt else None,
    )
