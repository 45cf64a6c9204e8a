"""The layers of an instance: which file stands on which, and who needs it.

A layer is *named* when today's definition or a snapshot has it as a disk's
image.  One that nobody names is only there because others stand on it.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from qemu_cli.instance import needs
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition
from qemu_cli.instance.snapshots.store import Tree
from qemu_cli.paths import InstancePaths
from qemu_cli.storage import dependants, header, images
from qemu_cli.storage.images import ImageInfo


class LayerFile(msgspec.Struct, frozen=True):
    """One image file.

    :param id: of the disk that it belongs to
    :param below: the local file that it stands on
    :param backing: how it spells that, or what it stands on instead
    :param tags: its internal snapshots
    """

    file: Path
    id: str
    format: str
    virtual_size_bytes: int
    actual_size_bytes: int
    below: Path | None = None
    backing: str | None = None
    backing_format: str | None = None
    tags: frozenset[str] = frozenset()
    has_bitmaps: bool = False


class Layers(NamedTuple):
    """All layers of an instance.

    :param directory: of the instance
    :param named: those that are somebody's image
    :param users: names of the other instances that need a file
    """

    directory: Path
    files: Mapping[Path, LayerFile]
    named: frozenset[Path]
    users: Mapping[Path, tuple[str, ...]]

    def chain(self, file: Path) -> tuple[Path, ...]:
        """A layer, what it stands on, and so on; those that are there."""
        found: dict[Path, None] = {}
        while layer := self.files.get(file):
            found[file] = None
            if layer.below is None or layer.below in found:
                break
            file = layer.below
        return tuple(found)

    def missing(self, file: Path) -> Path | None:
        """The first file of a chain that is not there, if one is not."""
        found: Path | None = file
        while found is not None:
            layer = self.files.get(found)
            if layer is None:
                return None if found.exists() else found
            found = layer.below
        return None

    @property
    def live(self) -> tuple[Path, ...]:
        """The layers that are named, and those that they stand on."""
        found: dict[Path, None] = {}
        for file in sorted(self.named):
            found |= dict.fromkeys(self.chain(file))
        return tuple(found)

    def above(self, file: Path) -> tuple[LayerFile, ...]:
        """The live layers that stand on one."""
        files = map(self.files.__getitem__, self.live)
        return tuple(each for each in files if each.below == file)

    def is_inside(self, file: Path) -> bool:
        """Tell whether a file is the instance's own."""
        return file.parent == self.directory

    def naming(self, named: Iterable[Path]) -> "Layers":
        """Return the same with other layers named."""
        return self._replace(named=frozenset(named))


def named(
    paths: InstancePaths, definition: Definition, tree: Tree
) -> dict[Path, tuple[str, str]]:
    """The layers that somebody names: of each its disk's id and format."""
    found = {
        _place(paths, layer.file): (layer.id, layer.format)
        for layer in tree.layers
    }
    for image in definition.images:
        found[_place(paths, image.file)] = image.id, image.format
    return found


async def read(
    host: Host,
    paths: InstancePaths,
    definition: Definition,
    tree: Tree,
    *,
    tool: str,
) -> Layers:
    """Look at all layers of an instance, and who else needs them.

    Files that are missing are left out.

    :param tool: qemu-img
    :raise ToolError: an image that is there can't be read
    """
    wanted = named(paths, definition, tree)
    files: dict[Path, LayerFile] = {}
    todo = dict(wanted)
    while todo:
        looked = await asyncio.gather(
            *(
                _look(tool, file, id, image_format)
                for file, (id, image_format) in todo.items()
                if file.exists()
            )
        )
        files |= {layer.file: layer for layer in looked}
        todo = {
            layer.below: (layer.id, layer.backing_format)
            for layer in looked
            if layer.below and layer.below not in files
            if layer.backing_format
        }
    others = await needs.everyone(host, tool)
    others.pop(paths.name, None)
    return Layers(
        directory=_place(paths, "."),
        files=files,
        named=frozenset(wanted),
        users={
            file: tuple(dependants.users_of(file, others)) for file in files
        },
    )


async def _look(
    tool: str, file: Path, id: str, image_format: str
) -> LayerFile:
    image = await images.info(tool, file, format=image_format)
    below = dependants.local_files(image.backing_file or "", file)
    return LayerFile(
        file=file,
        id=id,
        format=image_format,
        virtual_size_bytes=image.virtual_size_bytes,
        actual_size_bytes=image.actual_size_bytes,
        below=Path(os.path.realpath(below[0])) if len(below) == 1 else None,
        backing=_spelled(file, image),
        backing_format=image.backing_format,
        tags=frozenset(each.name for each in image.snapshots),
        has_bitmaps=bool(image.bitmaps),
    )


def _spelled(file: Path, image: ImageInfo) -> str | None:
    """How the image itself spells what it stands on."""
    if image.format == "qcow2" and (found := header.read(file)):
        return found.backing_file
    return image.backing_file


def _place(paths: InstancePaths, file: str) -> Path:
    # By their real names: a link in the directory leads out of it.
    return Path(os.path.realpath(paths.directory / file))
