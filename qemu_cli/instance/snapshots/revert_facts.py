"""What has to be known before a VM goes back."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from qemu_cli.errors import (
    NotFoundError,
    StateError,
)
from qemu_cli.instance import definitions
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition
from qemu_cli.instance.snapshots import layers as layer_files
from qemu_cli.instance.snapshots import (
    listing,
    revert_guard,
    revert_qemu,
    store,
)
from qemu_cli.instance.snapshots import revert_plan as planning
from qemu_cli.instance.snapshots.layers import Layers
from qemu_cli.instance.snapshots.revert_plan import (
    Facts,
    Launch,
    Same,
    Target,
)
from qemu_cli.instance.snapshots.store import Memory, Snapshot, Tree
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.storage import images, snapshot_table, tools


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
    revert_guard.check_layers(vm, snapshot, layers)
    bitmaps = await _bitmaps(tool, layers)
    resized = _resized(snapshot, layers)
    targets = planning.choose(paths, tree, snapshot, layers, bitmaps, resized)
    revert_guard.check_holders(vm, layers, targets)
    revert_guard.check_space(paths, targets)
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
            same, why_new = await revert_qemu.same(
                host, vm, snapshot, snapshot.memory, after, targets
            )
        if same is None:
            new = await revert_qemu.new(
                host, vm, snapshot, snapshot.memory, after
            )
        else:
            targets = tuple(each._replace(bitmaps=()) for each in targets)
    facts = Facts(
        tree=tree,
        targets=targets,
        before=definitions.read(paths.definition),
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


def _resized(snapshot: Snapshot, layers: Layers) -> frozenset[Path]:
    """The images whose disks had another size when it was taken."""
    return frozenset(
        layer.file
        for layer in layers.files.values()
        if snapshot.kind == "internal" and snapshot.key in layer.tags
        for each in snapshot_table.read(layer.file)
        if each.name == snapshot.key
        if each.disk_size_bytes not in (None, layer.virtual_size_bytes)
    )


async def _bitmaps(
    tool: str, layers: Layers
) -> Mapping[Path, tuple[str, ...]]:
    found = {}
    for layer in layers.files.values():
        if layer.has_bitmaps:
            image = await images.info(tool, layer.file, format=layer.format)
            found[layer.file] = tuple(each.name for each in image.bitmaps)
    return found


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
        text = definitions.read(paths.definition)
    images = {each.id: (each.file, "qcow2") for each in targets}
    images |= {
        image.id: (image.file, image.format)
        for image in today.images
        if image.id not in images and not image.read_only
    }
    text = planning.define(text, images)
    return text, definitions.parse(text, source=str(kept))


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
