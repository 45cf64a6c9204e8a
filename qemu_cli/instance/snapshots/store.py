"""What is known of an instance's snapshots: one file, one tree.

An *internal* snapshot is inside the qcow2 files that were its disks'
active layers, under its key as the tag.  An *external* one is those files
themselves: from then on they are only read, and the VM writes to
overlays on them.  Either way :attr:`Snapshot.layers` says which files
those are, and the definition that it was taken with is kept beside the
tree.

The tree has what the images can't say: names, comments, parents, and on
which snapshot today stands.
"""

import re
from pathlib import Path
from typing import Literal

import msgspec

from qemu_cli import suggest
from qemu_cli.errors import DefinitionError, NotFoundError, UsageError
from qemu_cli.instance import definitions
from qemu_cli.instance.model import Definition
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import WriteFile

FORMAT = 1

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Layer(msgspec.Struct, frozen=True):
    """The file that a disk wrote to when the snapshot was taken.

    :param id: of the disk; ``nvram`` for the UEFI variables
    :param file: relative to the instance's directory
    """

    id: str
    file: str
    format: str


class Memory(msgspec.Struct, frozen=True):
    """The RAM that goes with a snapshot.

    :param argv: what it fits to: see ``saved.comparable``
    :param version: of QEMU
    :param running: whether the guest's CPUs ran
    :param size_bytes: how much was written
    :param seconds: how long that took
    """

    argv: list[str]
    version: tuple[int, int, int]
    running: bool
    size_bytes: int
    seconds: float


class Snapshot(msgspec.Struct, frozen=True):
    """One snapshot.

    :param name: what the user calls it; can be changed
    :param key: what it is called on disk, for ever: the tag inside of
        the images, and the names of its files
    :param created_s: when, in seconds since 1970
    :param parent: key of the one before it; None: it is the first
    :param layers: only disks that take part: those that are written to
    :param vmstate: the disk whose image has the RAM of an internal one
    """

    name: str
    key: str
    kind: Literal["internal", "external"]
    created_s: float
    layers: tuple[Layer, ...]
    parent: str | None = None
    comment: str = ""
    memory: Memory | None = None
    vmstate: str | None = None

    def layer(self, id: str) -> Layer | None:
        """The layer of a disk, if it took part."""
        return next((each for each in self.layers if each.id == id), None)


class Tree(msgspec.Struct, frozen=True):
    """All snapshots of an instance.

    :param current: key of the one that today stands on
    """

    format: int = FORMAT
    current: str | None = None
    snapshots: tuple[Snapshot, ...] = ()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers that a snapshot needs, each once."""
        found = {
            (layer.file, layer.format): layer
            for snapshot in self.snapshots
            for layer in snapshot.layers
        }
        return tuple(found.values())

    def by_key(self, key: str) -> Snapshot:
        """Return the snapshot of a key, which there is."""
        return next(each for each in self.snapshots if each.key == key)

    def find(self, name: str) -> Snapshot:
        """Return the snapshot of a name.

        :raise NotFoundError: there is none; names the nearest
        """
        for each in self.snapshots:
            if each.name == name:
                return each
        near = suggest.nearest(name, [each.name for each in self.snapshots])
        hint = "'qemu snapshot list' shows them"
        raise NotFoundError(
            f"there is no snapshot '{name}'",
            hint=f"did you mean '{near[0]}'?" if near else hint,
        )

    def children(self, key: str | None) -> tuple[Snapshot, ...]:
        """The snapshots that were taken next after one."""
        return tuple(each for each in self.snapshots if each.parent == key)

    def line(self, key: str | None) -> tuple[Snapshot, ...]:
        """A snapshot, its parent, and so on to the first."""
        found = []
        while key is not None:
            snapshot = self.by_key(key)
            found.append(snapshot)
            key = snapshot.parent
        return tuple(found)

    def with_(self, snapshot: Snapshot) -> "Tree":
        """Return the tree with a new snapshot, which is the current one."""
        return msgspec.structs.replace(
            self,
            current=snapshot.key,
            snapshots=(*self.snapshots, snapshot),
        )

    def replacing(self, snapshot: Snapshot) -> "Tree":
        """Return the tree with another snapshot of the same key."""
        return msgspec.structs.replace(
            self,
            snapshots=tuple(
                snapshot if each.key == snapshot.key else each
                for each in self.snapshots
            ),
        )

    def without(self, key: str) -> "Tree":
        """Return the tree without one; its children go to its parent."""
        gone = self.by_key(key)
        return msgspec.structs.replace(
            self,
            current=gone.parent if self.current == key else self.current,
            snapshots=tuple(
                msgspec.structs.replace(each, parent=gone.parent)
                if each.parent == key
                else each
                for each in self.snapshots
                if each.key != key
            ),
        )


def load(paths: InstancePaths) -> Tree:
    """Read the tree; without a file it is empty.

    :raise DefinitionError: it can't be understood
    """
    path = paths.snapshot_tree
    try:
        tree = msgspec.json.decode(path.read_bytes(), type=Tree)
        if tree.format > FORMAT:
            raise DefinitionError(
                f"{path} has format {tree.format}, this program knows "
                f"{FORMAT}",
                hint="it was written by a newer version; use that one",
            )
    except FileNotFoundError:
        return Tree()
    except (OSError, msgspec.MsgspecError) as error:
        raise DefinitionError(f"{path} can't be read: {error}") from error
    return tree


def write(paths: InstancePaths, tree: Tree) -> WriteFile:
    """The step that writes the tree, or takes that back."""
    path = paths.snapshot_tree
    text = msgspec.json.format(msgspec.json.encode(tree), indent=1).decode()
    previous = path.read_text() if path.exists() else None
    return WriteFile(str(path), text + "\n", previous)


def definition(paths: InstancePaths, snapshot: Snapshot) -> Definition:
    """Return the definition that a snapshot was taken with.

    Its disks are in the files that the tree says.

    :raise DefinitionError: it is missing, or can't be understood
    """
    kept = definitions.load(paths.snapshot_definition(snapshot.key))
    return kept.with_files({each.id: each.file for each in snapshot.layers})


def check_name(name: str) -> str:
    """Return the name if a snapshot can be called so.

    :raise UsageError: it can't; qemu-img takes a number for an id
    """
    if name.isdigit():
        raise UsageError(
            f"a snapshot can't be called '{name}': QEMU takes a number for "
            "an id of its own",
            hint=f"'s{name}' would do",
        )
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a snapshot can't be called '{name}'",
            hint="up to 64 letters, digits, dots, dashes and underscores; a "
            "letter or a digit first",
        )
    return name


def made_up_name(tree: Tree, others: frozenset[str] = frozenset()) -> str:
    """Return a name that is not taken: ``s1``, ``s2`` …

    :param others: tags that the images have already
    """
    number = len(tree.snapshots) + 1
    names = {each.name for each in tree.snapshots} | others
    while f"s{number}" in names:
        number += 1
    return f"s{number}"


def new_key(tree: Tree, name: str, others: frozenset[str]) -> str:
    """Return a key for a new snapshot.

    :param others: tags that the images have already
    """
    taken = {each.key for each in tree.snapshots} | others
    key, number = name, 2
    while key in taken:
        key = f"{name}-{number}"
        number += 1
    return key


def next_file(directory: Path, id: str, taken: frozenset[str]) -> str:
    """Return a name for another layer of a disk, not in use yet.

    :param taken: names that are, though there may be no file yet
    """
    number = 1
    while (file := f"{id}.{number}.qcow2") in taken or (
        directory / file
    ).exists():
        number += 1
    return file
