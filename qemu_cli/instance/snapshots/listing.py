"""``qemu snapshot list``: what there is, and what has become of it.

Everything is read from files, also while the VM runs: the tree, and the
table of each image, which says what the tree can't know: what another
program has made or deleted.
"""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import QemuCliError
from qemu_cli.instance.model import Definition, Image
from qemu_cli.instance.snapshots import store
from qemu_cli.instance.snapshots.store import Layer, Snapshot, Tree
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.storage import images, snapshot_table

_SECTOR_BYTES = 512  # the unit of st_blocks, whatever the file system

#: The internal snapshots of images by file and name.  An image that can't
#: be read is not there.
_Tables = Mapping[str, Mapping[str, images.Snapshot]]


class Seen(NamedTuple):
    """A snapshot, as it is found.

    :param ram_bytes: the size of its RAM; None: it has none
    :param size_bytes: what it takes: the RAM, and of an external one its
        layers.  How much of an internal one's disks today still shares
        with it, nobody knows.
    :param ours: whether the tree has it
    :param problem: what is wrong with it, or ``""``
    """

    snapshot: Snapshot
    ram_bytes: int | None
    size_bytes: int
    ours: bool = True
    problem: str = ""


class Found(NamedTuple):
    """All snapshots of a VM, oldest first, and the tree of ours.

    :param kept: whether there is a tree: not of a VM that somebody else
        started
    """

    tree: Tree
    seen: tuple[Seen, ...]
    kept: bool = True

    def find(self, name: str) -> Seen:
        """Return the snapshot of a name, ours or not.

        :raise NotFoundError: there is none; names the nearest
        """
        for each in self.seen:
            if each.snapshot.name == name:
                return each
        self.tree.find(name)
        raise AssertionError("the tree has what was not seen")

    def name_of(self, key: str | None) -> str | None:
        """What the user calls a snapshot of ours."""
        return None if key is None else self.tree.by_key(key).name


def look(vm: VM) -> Found:
    """Look at all snapshots of a VM.

    :raise DefinitionError: the tree can't be understood
    """
    paths = vm.paths
    tree = store.load(paths)
    active = _active(vm)
    inside = {
        layer.file
        for snapshot in tree.snapshots
        if snapshot.kind == "internal"
        for layer in snapshot.layers
    }
    tables = _tables(paths, inside.union(image.file for image in active))
    found = [_seen(paths, each, tables) for each in tree.snapshots]
    for each in _foreign(tree, active, tables):
        has = {layer.id for layer in each.layers}
        lacking = [image.id for image in active if image.id not in has]
        problem = f"not on {', '.join(lacking)}" if lacking else ""
        seen = _seen(paths, each, tables)
        found.append(seen._replace(ours=False, problem=problem))
    found.sort(key=lambda seen: seen.snapshot.created_s)
    return Found(tree, tuple(found))


def foreign(
    paths: InstancePaths, definition: Definition, tree: Tree
) -> tuple[Snapshot, ...]:
    """Return the internal snapshots of today's images that are not ours.

    Their ``layers`` are the images that have them; of their RAM nobody
    knows what it fits to.
    """
    active = [each for each in definition.images if not each.read_only]
    tables = _tables(paths, [image.file for image in active])
    return _foreign(tree, active, tables)


def ram_bytes(paths: InstancePaths, snapshot: Snapshot) -> int | None:
    """Return the size of a snapshot's RAM; None: it has none, any more."""
    tables = _tables(paths, [layer.file for layer in snapshot.layers])
    return _ram_bytes(paths, snapshot, tables)


def _active(vm: VM) -> list[Image]:
    try:
        images = vm.definition.images
    except QemuCliError:
        return []  # what is in the tree can be shown all the same
    return [image for image in images if not image.read_only]


def _tables(paths: InstancePaths, files: Iterable[str]) -> _Tables:
    found = {}
    for file in files:
        with contextlib.suppress(OSError, QemuCliError):
            table = snapshot_table.read(paths.directory / file)
            found[file] = {each.name: each for each in table}
    return found


def _foreign(
    tree: Tree, active: Iterable[Image], tables: _Tables
) -> tuple[Snapshot, ...]:
    ours = {snapshot.key for snapshot in tree.snapshots}
    found: dict[str, Snapshot] = {}
    for image in active:
        for name, tag in tables.get(image.file, {}).items():
            if name in ours:
                continue
            known = found.get(name)
            layer = Layer(image.id, image.file, image.format)
            layers = (*known.layers, layer) if known else (layer,)
            with_ram = image.id if tag.vm_state_size_bytes else None
            vmstate = (known and known.vmstate) or with_ram
            found[name] = Snapshot(
                *(name, name, "internal", float(tag.date_s), layers),
                vmstate=vmstate,
            )
    return tuple(found.values())


def _seen(paths: InstancePaths, snapshot: Snapshot, tables: _Tables) -> Seen:
    ram = _ram_bytes(paths, snapshot, tables)
    size_bytes = ram or 0
    if snapshot.kind == "external":
        for layer in snapshot.layers:
            size_bytes += _taken(paths.directory / layer.file)
    problem = _problem(paths, snapshot, tables)
    return Seen(snapshot, ram, size_bytes, problem=problem)


def _ram_bytes(
    paths: InstancePaths, snapshot: Snapshot, tables: _Tables
) -> int | None:
    if snapshot.kind == "external":
        if snapshot.memory is None:
            return None
        return _taken(paths.snapshot_ram(snapshot.key)) or None
    layer = snapshot.layer(snapshot.vmstate) if snapshot.vmstate else None
    if layer is None:
        return None
    tag = tables.get(layer.file, {}).get(snapshot.key)
    return tag.vm_state_size_bytes if tag else None


def _problem(paths: InstancePaths, snapshot: Snapshot, tables: _Tables) -> str:
    for layer in snapshot.layers:
        if not (paths.directory / layer.file).exists():
            return f"{layer.file} is missing"
        if snapshot.kind == "external":
            continue
        if layer.file not in tables:
            return f"{layer.file} can't be read"
        if snapshot.key not in tables[layer.file]:
            return f"{layer.file} does not have it any more"
    if snapshot.kind == "external" and snapshot.memory:
        ram = paths.snapshot_ram(snapshot.key)
        if not ram.exists():
            return f"its RAM is missing: {ram.name}"
    return ""


def _taken(file: Path) -> int:
    """What a file takes on its disk."""
    try:
        return file.stat().st_blocks * _SECTOR_BYTES
    except OSError:
        return 0
