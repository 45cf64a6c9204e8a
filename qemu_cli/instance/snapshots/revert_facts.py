"""What has to be known before a VM goes back, and what forbids it."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from qemu_cli.emulator import abilities
from qemu_cli.errors import (
    BusyError,
    NotFoundError,
    QemuCliError,
    StateError,
)
from qemu_cli.instance import definitions, redefine
from qemu_cli.instance.disks import slots
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition
from qemu_cli.instance.snapshots import layers as layer_files
from qemu_cli.instance.snapshots import listing, machine, store
from qemu_cli.instance.snapshots import revert_plan as planning
from qemu_cli.instance.snapshots.layers import Layers
from qemu_cli.instance.snapshots.revert_plan import (
    Facts,
    Launch,
    Same,
    Target,
)
from qemu_cli.instance.snapshots.store import Memory, Snapshot, Tree
from qemu_cli.instance.start import launch
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.storage import graph, holders, images, tools
from qemu_cli.units import format_size

#: Run states in which a QEMU can be told to load, and to run on.
_LOADABLE = frozenset({"running", "paused", "prelaunch"})

#: ioctl(2) of linux/fs.h: share the blocks of a whole file.
_FICLONE = 0x40049409


class Prepared(NamedTuple):
    """All that a plan is made from.

    :param definition: as it is going to be
    :param same: the QEMU that runs goes back; None: it can't, or need not
    :param why_new: why it can't, in a few words
    :param launch: the QEMU that goes on from the RAM otherwise
    :param today_bytes: what the active layers of today take
    """

    snapshot: Snapshot
    facts: Facts
    definition: Definition
    same: Same | None
    why_new: str
    launch: Launch | None
    today_bytes: int


def find(vm: VM, tree: Tree, name: str) -> Snapshot:
    """Return a snapshot, also one that another program has made.

    :raise NotFoundError: there is none; names the nearest
    :raise StateError: it is not ours, and can't be gone back to
    """
    try:
        return tree.find(name)
    except NotFoundError:
        for each in listing.foreign(vm.paths, vm.definition, tree):
            if each.name == name:
                _check_foreign(vm, each)
                return _with_memory(each)
        raise


def _check_foreign(vm: VM, snapshot: Snapshot) -> None:
    has = {layer.id for layer in snapshot.layers}
    lacking = [
        image.id
        for image in vm.definition.images
        if not image.read_only and image.id not in has
    ]
    if lacking:
        raise StateError(
            f"'{snapshot.name}' was made by another program, and not of all "
            f"disks: {', '.join(lacking)} of '{vm.name}' would stay as of "
            "today",
        )
    if snapshot.key.isdigit():
        raise StateError(
            f"'{snapshot.name}' can't be gone back to: QEMU takes a number "
            "for an id of its own, which may be another snapshot's"
        )


def _with_memory(snapshot: Snapshot) -> Snapshot:
    """What its RAM fits to, nobody has written down."""
    if snapshot.vmstate is None:
        return snapshot
    memory = Memory([], (0, 0, 0), running=True, size_bytes=0, seconds=0.0)
    return msgspec.structs.replace(snapshot, memory=memory)


async def prepare(
    host: Host, vm: VM, tree: Tree, snapshot: Snapshot
) -> Prepared:
    """Look at everything; changes nothing.

    :raise NotFoundError: a file is missing
    :raise StateError: it can't be gone back to; says why
    :raise BusyError: another program has an image open
    """
    paths = vm.paths
    tool = tools.find("qemu-img", host.config)
    today = vm.definition
    layers = await layer_files.read(host, paths, today, tree, tool=tool)
    _check_layers(vm, snapshot, layers)
    bitmaps = await _bitmaps(tool, layers)
    targets = planning.choose(paths, tree, snapshot, layers, bitmaps)
    _check_holders(vm, layers, targets)
    _check_space(paths, targets)
    text, after = _definition(paths, tree, snapshot, today, targets)
    going = {each.id for each in targets}
    active = [
        Path(os.path.realpath(paths.directory / image.file))
        for image in today.images
        if image.id in going
    ]
    same, why_new, new = None, "", None
    if snapshot.memory:
        if vm.alive:
            same, why_new = await _same(
                host, vm, snapshot, snapshot.memory, after, targets
            )
        if same is None:
            new = await _launch(host, vm, snapshot, snapshot.memory, after)
        else:
            targets = tuple(each._replace(bitmaps=()) for each in targets)
    facts = Facts(
        tree=tree,
        targets=targets,
        before=redefine.read(paths),
        after=text,
        doomed=_doomed(paths, tree, layers, active, after),
        tool=tool,
    )
    today_bytes = sum(
        layers.files[file].actual_size_bytes
        for file in active
        if file in layers.files
    )
    return Prepared(*(snapshot, facts, after, same, why_new, new, today_bytes))


def _check_layers(vm: VM, snapshot: Snapshot, layers: Layers) -> None:
    """See that all that the snapshot consists of is there."""
    for each in snapshot.layers:
        file = Path(os.path.realpath(vm.paths.directory / each.file))
        missing = _missing(layers, file)
        if missing:
            raise NotFoundError(
                f"the snapshot '{snapshot.name}' of '{vm.name}' lacks a "
                f"file: {missing}",
                hint="put it back",
            )
        if (
            snapshot.kind == "internal"
            and snapshot.key not in layers.files[file].tags
        ):
            raise StateError(
                f"{each.file} does not have the snapshot '{snapshot.name}' "
                "any more: it was deleted by another program",
                hint="'qemu snapshot delete' forgets it",
            )
    ram = vm.paths.snapshot_ram(snapshot.key)
    external = snapshot.kind == "external"
    if external and snapshot.memory and not ram.exists():
        raise NotFoundError(
            f"the RAM of the snapshot '{snapshot.name}' is missing: {ram}",
            hint="put it back, or go back to the disks alone: --no-ram",
        )


def _missing(layers: Layers, file: Path | None) -> Path | None:
    """The first file of a chain that is not there."""
    while file is not None:
        layer = layers.files.get(file)
        if layer is None:
            return None if file.exists() else file
        file = layer.below
    return None


async def _bitmaps(
    tool: str, layers: Layers
) -> Mapping[Path, tuple[str, ...]]:
    found = {}
    for layer in layers.files.values():
        if layer.has_bitmaps:
            image = await images.info(tool, layer.file, format=layer.format)
            found[layer.file] = tuple(each.name for each in image.bitmaps)
    return found


def _check_holders(vm: VM, layers: Layers, targets: Sequence[Target]) -> None:
    """Refuse while another program has open what is going to change."""
    own = vm.process.pid if vm.process else None
    chains = {
        file: each.how
        for each in targets
        for file in layers.chain(each.layer.file)
    }
    for file, found in holders.of_each(chains).items():
        in_place = any(
            each.layer.file == file and each.how == "in place"
            for each in targets
        )
        others = [
            holder
            for holder in found
            if holder.pid != own and (in_place or holder.writes)
        ]
        if others:
            raise BusyError(
                f"the image {file} is in use by {holders.listed(others)}",
                hint="end that first, or wait until it is done",
            )


def _check_space(paths: InstancePaths, targets: Sequence[Target]) -> None:
    """Refuse copies that would fill the disk."""
    copies = [each.layer for each in targets if each.how == "copy"]
    needed = sum(layer.actual_size_bytes for layer in copies)
    free = shutil.disk_usage(paths.directory).free
    if needed > free and not _shares_blocks(copies[0].file, paths.directory):
        raise QemuCliError(
            f"no room to go back: {format_size(needed)} have to be copied, "
            f"and {format_size(free)} are free in {paths.directory}",
            hint="make room there",
        )


def _shares_blocks(file: Path, directory: Path) -> bool:
    """Whether a copy takes no room: btrfs, XFS (ioctl_ficlone(2))."""
    try:
        with (
            file.open("rb") as source,
            tempfile.TemporaryFile(dir=directory) as target,
        ):
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except OSError:
        return False
    return True


def _definition(
    paths: InstancePaths,
    tree: Tree,
    snapshot: Snapshot,
    today: Definition,
    targets: Sequence[Target],
) -> tuple[str, Definition]:
    """The definition that the VM is going to have.

    Disks that take no part keep the images that they have today.
    """
    kept = paths.snapshot_definition(snapshot.key)
    if any(each.key == snapshot.key for each in tree.snapshots):
        store.definition(paths, snapshot)  # says what is wrong with it
        text = kept.read_text(encoding="utf-8")
    else:
        text = redefine.read(paths)
    images = {each.id: (each.file, "qcow2") for each in targets}
    images |= {
        image.id: (image.file, image.format)
        for image in today.images
        if image.id not in images and not image.read_only
    }
    text = planning.define(text, images)
    return text, definitions.parse(text, source=str(kept))


async def _same(
    host: Host,
    vm: VM,
    snapshot: Snapshot,
    memory: Memory,
    after: Definition,
    targets: Sequence[Target],
) -> tuple[Same | None, str]:
    """See whether the QEMU that runs can load it, or say why not."""
    assert vm.process is not None  # noqa: S101
    assert vm.version is not None  # noqa: S101
    if any(each.how != "in place" for each in targets):
        return None, "its disks are in other images"
    if vm.run_state not in _LOADABLE:
        return None, f"it is {vm.run_state}"
    if vm.version < memory.version:
        return None, "it was taken with a newer QEMU"
    now = machine.words(vm.process.argv)
    if memory.argv and now != memory.argv:
        return None, f"the machine was another ({_first(now, memory.argv)})"
    async with host.sessions.open(vm.monitors) as session:
        ids = (await slots.look(session)).ids
        found = await graph.read(session)
    wanted = _device_ids(host, vm, after)
    if memory.argv and ids != wanted:
        return None, f"it had other devices ({', '.join(ids ^ wanted)})"
    active = {
        node.name: node
        for device in found.devices
        if device.node is not None
        for node in (found.active(device),)
    }
    nodes = {}
    bitmaps = []
    for target in targets:
        for node in found.of_file(target.layer.file):
            if node.name in active:
                nodes[target.id] = node.name
                bitmaps += [(node.name, name) for name in node.bitmaps]
    written = {each.name for each in active.values() if not each.read_only}
    if written != set(nodes.values()) or len(nodes) != len(targets):
        return None, "it had other disks"
    return Same(nodes, vm.state == "running", tuple(bitmaps)), ""


def _device_ids(host: Host, vm: VM, definition: Definition) -> frozenset[str]:
    """The ids of all devices that a definition makes."""
    _, spawn = launch(host, vm.paths, definition)
    found = set()
    for option, value in zip(spawn.argv, spawn.argv[1:], strict=False):
        if option == "-device":
            found |= {
                each.removeprefix("id=")
                for each in value.split(",")
                if each.startswith("id=")
            }
    return frozenset(found)


async def _launch(
    host: Host,
    vm: VM,
    snapshot: Snapshot,
    memory: Memory,
    definition: Definition,
) -> Launch:
    """How a new QEMU is run that the RAM fits to.

    :raise StateError: none can be
    """
    before, spawn = launch(
        host,
        vm.paths,
        definition,
        paused=True,
        incoming=snapshot.kind == "external",
    )
    new = machine.words(spawn.argv)
    if memory.argv and new != memory.argv:
        raise _misfit(
            vm,
            snapshot,
            f"the machine would be another ({_first(new, memory.argv)})",
        )
    facts = await abilities.load(Path(spawn.argv[0]), host.paths)
    # A newer QEMU takes the state of an older one: that is what the
    # versioned machine type is for.
    if facts.version < memory.version:
        now, then = (
            ".".join(map(str, version))
            for version in (facts.version, memory.version)
        )
        raise _misfit(
            vm, snapshot, f"it was taken by QEMU {then}, and this is {now}"
        )
    return Launch(tuple(before), spawn)


def _misfit(vm: VM, snapshot: Snapshot, why: str) -> StateError:
    return StateError(
        f"'{vm.name}' can't go on from '{snapshot.name}': {why}",
        hint="undo that change, or go back to the disks alone: --no-ram",
    )


def _first(now: Sequence[str], then: Sequence[str]) -> str:
    new = [word for word in now if word not in then]
    old = [word for word in then if word not in now]
    if old:
        return f"no more {old[0]}"
    return f"now {new[0]}" if new else "in another order"


def _doomed(
    paths: InstancePaths,
    tree: Tree,
    layers: Layers,
    active: Sequence[Path],
    after: Definition,
) -> tuple[Path, ...]:
    named = [*layer_files.named(paths, after, tree)]
    # What another program has tagged, the tree does not know.
    named += [each.file for each in layers.files.values() if each.tags]
    return planning.doomed(
        layers, active, [file for file in named if file in layers.files]
    )
