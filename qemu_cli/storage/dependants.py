"""Who depends on a file: the one place that answers.

A file that an overlay stands on must never be written, moved or
removed; a qcow2 image with a data file needs that file as well.  The
answer comes from the images themselves, running VM or not.
"""

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qemu_cli.errors import QemuCliError
from qemu_cli.storage import header, images

_Identity = tuple[object, ...]


class Reference(NamedTuple):
    """One image's need of another file.

    :param format: of the image, as it is stored; None: not known
    :param file: what it needs
    :param file_format: of that file; None: the image does not say
    :param name: how a qcow2 image spells its backing file; None when it
        is needed in another way
    """

    image: Path
    format: str | None
    file: Path
    file_format: str | None
    name: str | None


async def backing_chain(
    qemu_img: str, path: Path, *, format: str | None
) -> list[Path]:
    """Name all local files that an image needs, itself first.

    Backing files that are missing are named, too; those that are not
    files (``nbd://…``) are not.

    :param format: the stored format; a raw image ends the chain,
        whatever its guest wrote into it
    :raise QemuCliError: when an image that is there can't be read
    """
    found = await references(qemu_img, path, format=format)
    chain = {identity(path): path.absolute()}
    for reference in found:
        chain.setdefault(identity(reference.file), reference.file)
    return list(chain.values())


async def references(
    qemu_img: str, path: Path, *, format: str | None
) -> list[Reference]:
    """Tell who needs whom in the backing chain of an image.

    :param format: see :func:`backing_chain`
    :raise QemuCliError: when an image that is there can't be read
    """
    found: list[Reference] = []
    seen: set[_Identity] = set()
    todo: list[tuple[Path, str | None]] = [(path.absolute(), format)]
    while todo:
        file, its_format = todo.pop(0)
        if identity(file) in seen:
            continue
        seen.add(identity(file))
        try:
            needed = await _references(qemu_img, file, its_format)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise QemuCliError(
                f"the image {file} can't be read: {error.strerror}"
            ) from error
        found += needed
        todo += [(each.file, each.file_format) for each in needed]
    return found


def users_of(file: Path, chains: Mapping[str, Sequence[Path]]) -> list[str]:
    """Name those whose chains contain a file, under whatever name.

    :param chains: for each name the files that it needs
    """
    return list(users([file], chains))


def users(
    files: Iterable[Path], chains: Mapping[str, Sequence[Path]]
) -> dict[str, Path]:
    """Name those whose chains contain one of some files, and which one."""
    wanted = {identity(file): file for file in files}
    return {
        name: wanted[key]
        for name, chain in chains.items()
        for other in chain
        if (key := identity(other)) in wanted
    }


def identity(file: Path) -> _Identity:
    """Return what two names of one file or block device share."""
    try:
        status = file.stat()
    except OSError:
        return ("missing", os.path.realpath(file))
    if stat.S_ISBLK(status.st_mode):
        return ("device", status.st_rdev)
    return ("file", status.st_dev, status.st_ino)


async def _references(
    qemu_img: str, path: Path, format: str | None
) -> list[Reference]:
    if format == "raw":
        return []
    spelled: str | None = None
    if found := header.read(path):
        backing = found.backing_file, found.backing_format
        data = [found.data_file] if found.data_file else []
        spelled = found.backing_file
    else:
        # Formats that we don't read ourselves, such as VMDK.
        image = await images.info(qemu_img, path, format=format)
        backing = image.backing_file, image.backing_format
        data = list(image.extents)
    needed = [
        Reference(path, format, file, backing[1], spelled)
        for file in local_files(backing[0] or "", path)
    ]
    for name in data:
        needed += [
            Reference(path, format, file, "raw", None)
            for file in local_files(name, path)
        ]
    return needed


def local_files(name: str, beside: Path) -> list[Path]:
    """Return the local files that a name in an image stands for.

    :param name: as QEMU spells it: a path, absolute or relative to the
        image that names it; ``file:`` and a path; ``json:`` and a
        description; or another protocol, for which there is none
    :param beside: the image that names it
    """
    if not name:
        return []
    if name.startswith("json:"):
        try:
            return [
                beside.parent / file
                for file in _file_names(json.loads(name[5:]))
            ]
        except ValueError:
            return []
    protocol, colon, rest = name.partition(":")
    if colon and "/" not in protocol:
        return [beside.parent / rest] if protocol == "file" else []
    return [beside.parent / name]


def _file_names(description: Any) -> Iterator[str]:
    """Find ``filename`` in the options of a block node, however deep."""
    if not isinstance(description, dict):
        return
    for key, value in description.items():
        if key.rpartition(".")[2] == "filename" and isinstance(value, str):
            yield value
        else:
            yield from _file_names(value)
