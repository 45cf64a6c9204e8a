"""Who depends on a file: the one place that answers.

A file that an overlay stands on must never be written, moved or
removed; a qcow2 image with a data file needs that file as well.  The
answer comes from the images themselves, running VM or not.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qemu_cli.errors import QemuCliError
from qemu_cli.storage import header, images

_Identity = tuple[object, ...]
_Reference = tuple[Path, str | None]  # a file and its format, if known


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
    chain: list[Path] = []
    seen: set[_Identity] = set()
    todo: list[_Reference] = [(path.absolute(), format)]
    while todo:
        file, its_format = todo.pop(0)
        if identity(file) in seen:
            continue
        seen.add(identity(file))
        chain.append(file)
        try:
            todo += await _references(qemu_img, file, its_format)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise QemuCliError(
                f"the image {file} can't be read: {error.strerror}"
            ) from error
    return chain


def users_of(file: Path, chains: Mapping[str, Sequence[Path]]) -> list[str]:
    """Name those whose chains contain a file, under whatever name.

    :param chains: for each name the files that it needs
    """
    wanted = identity(file)
    return [
        name
        for name, chain in chains.items()
        if any(identity(other) == wanted for other in chain)
    ]


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
) -> list[_Reference]:
    if format == "raw":
        return []
    if found := header.read(path):
        backing = found.backing_file, found.backing_format
        data = [found.data_file] if found.data_file else []
    else:
        # Formats that we don't read ourselves, such as VMDK.
        image = await images.info(qemu_img, path, format=format)
        backing = image.backing_file, image.backing_format
        data = list(image.extents)
    references: list[_Reference] = []
    if backing[0]:
        references += [
            (file, backing[1]) for file in local_files(backing[0], path)
        ]
    for name in data:
        references += [(file, "raw") for file in local_files(name, path)]
    return references


def local_files(name: str, beside: Path) -> list[Path]:
    """Return the local files that a name in an image stands for.

    :param name: as QEMU spells it: a path, absolute or relative to the
        image that names it; ``file:`` and a path; ``json:`` and a
        description; or another protocol, for which there is none
    :param beside: the image that names it
    """
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
