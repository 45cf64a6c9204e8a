"""The qemu-img command lines, one pure function each (qemu-img(1)).

They are steps of plans: printed by ``--dry-run``, run by the runner.
The first parameter is always the program (:func:`tools.find`); formats
are always passed, so qemu-img never probes.
"""

import json
import os
from typing import Literal

StrPath = str | os.PathLike[str]


def file_name(path: StrPath) -> str:
    """Spell a path so that QEMU takes it for nothing else.

    A relative ``nbd:x`` would be a protocol, ``-x`` an option.
    """
    name = os.fspath(path)
    return name if name.startswith(("/", "./", "../")) else f"./{name}"


def _alone(path: StrPath, format: str) -> str:
    """Name an image without what it stands on."""
    node = {
        "driver": format,
        "file": {"filename": os.path.abspath(path)},  # noqa: PTH100
        "backing": None,
    }
    return f"json:{json.dumps(node)}"


def create_argv(
    qemu_img: str,
    path: StrPath,
    size_bytes: int,
    format: str,
    *,
    cluster_bytes: int | None = None,
) -> tuple[str, ...]:
    """Make an empty image.

    :param cluster_bytes: of a qcow2; None: as qemu-img likes it
    """
    options = (
        () if cluster_bytes is None else (f"cluster_size={cluster_bytes}",)
    )
    return (
        *(qemu_img, "create", "-q", "-f", format),
        *(word for option in options for word in ("-o", option)),
        *(file_name(path), str(size_bytes)),
    )


def create_view_argv(
    qemu_img: str, path: StrPath, data_file: StrPath, size_bytes: int
) -> tuple[str, ...]:
    """Make a qcow2 image that has all of its content in another file.

    It says of nothing that it is a hole.

    :param data_file: must exist; what is in there does not matter, and a
        node can stand in for it later
    """
    data = file_name(data_file).replace(",", ",,")
    return (
        *(qemu_img, "create", "-q", "-f", "qcow2"),
        *("-o", f"data_file={data},data_file_raw=on"),
        # A table of 32 KiB for each GiB, and at least 1.3 MiB.
        *("-o", "preallocation=metadata,cluster_size=256k"),
        *(file_name(path), str(size_bytes)),
    )


def create_overlay_argv(
    qemu_img: str,
    path: StrPath,
    backing: StrPath,
    backing_format: str,
    *,
    size_bytes: int | None = None,
    unopened: bool = False,
) -> tuple[str, ...]:
    """Make an empty qcow2 overlay.

    :param backing: stored as it is given; a relative one is meant
        relative to the directory of ``path``
    :param size_bytes: None: as large as the backing file
    :param unopened: do not look at the backing file, which somebody
        writes to; needs a size
    """
    return (
        *(qemu_img, "create", "-q", "-f", "qcow2"),
        *(("-u",) if unopened else ()),
        *("-b", file_name(backing), "-F", backing_format),
        file_name(path),
        *(() if size_bytes is None else (str(size_bytes),)),
    )


def convert_argv(
    qemu_img: str,
    source: StrPath,
    source_format: str,
    target: StrPath,
    target_format: str,
    *,
    progress: bool = False,
    compress: bool = False,
) -> tuple[str, ...]:
    """Copy an image, with its backing chain, into a new one.

    :param progress: print lines that :mod:`convert` reads
    """
    return (
        *(qemu_img, "convert", *(("-p",) if progress else ())),
        *(("-c",) if compress else ()),
        *("-f", source_format, "-O", target_format),
        *(file_name(source), file_name(target)),
    )


def info_argv(
    qemu_img: str, path: StrPath, format: str | None, *options: str
) -> tuple[str, ...]:
    """Tell what an image is, also while a VM uses it."""
    return (
        # -U: no lock.
        *(qemu_img, "info", "--output=json", "-U", *options),
        *(() if format is None else ("-f", format)),
        file_name(path),
    )


def map_argv(
    qemu_img: str, path: StrPath, format: str, *, shared: bool = False
) -> tuple[str, ...]:
    """Tell which layer of its chain each part of an image is in.

    :param shared: take no locks: somebody may be writing to it
    """
    return (
        *(qemu_img, "map", "--output=json", *(("-U",) if shared else ())),
        *("-f", format, file_name(path)),
    )


def check_argv(
    qemu_img: str,
    path: StrPath,
    format: str,
    *,
    overlay: bool = False,
    repair: Literal["leaks", "all"] | None = None,
) -> tuple[str, ...]:
    """Look for errors in an image's tables, also while it is written to.

    :param overlay: it has a backing file, which is not opened
    :param repair: what to mend
    """
    image: tuple[str, ...] = ("-f", format, file_name(path))
    if overlay:
        image = (_alone(path, format),)
    how = ("-r", repair) if repair else ("-U",)
    return (qemu_img, "check", "--output=json", *how, *image)


def snapshot_argv(
    qemu_img: str,
    action: Literal["-c", "-a", "-d"],
    path: StrPath,
    tag: str,
) -> tuple[str, ...]:
    """Create, apply or delete an internal snapshot of a qcow2 image.

    Only its tables change, so its backing file is not opened.  A tag of
    digits would be taken for an id.
    """
    return (qemu_img, "snapshot", action, tag, _alone(path, "qcow2"))


def compare_argv(
    qemu_img: str,
    path: StrPath,
    format: str,
    other: StrPath,
    other_format: str,
) -> tuple[str, ...]:
    """Compare what two images read as."""
    return (
        *(qemu_img, "compare", "-p", "-f", format, "-F", other_format),
        *(file_name(path), file_name(other)),
    )


def resize_argv(
    qemu_img: str,
    path: StrPath,
    format: str,
    size_bytes: int,
    *,
    shrink: bool = False,
) -> tuple[str, ...]:
    """Make an image larger or, when told so, smaller."""
    return (
        *(qemu_img, "resize", "-q", "-f", format),
        *(("--shrink",) if shrink else ()),
        *(file_name(path), str(size_bytes)),
    )


def rebase_argv(
    qemu_img: str,
    path: StrPath,
    backing: StrPath,
    backing_format: str,
    *,
    unsafe: bool = False,
) -> tuple[str, ...]:
    """Give a qcow2 overlay another backing file.

    :param unsafe: only the name is changed, for a backing file that was
        moved or copied; otherwise all that differs is copied first
    """
    return (
        *(qemu_img, "rebase", "-q", "-f", "qcow2"),
        *(("-u",) if unsafe else ()),
        *("-b", file_name(backing), "-F", backing_format, file_name(path)),
    )


def drop_bitmap_argv(
    qemu_img: str, path: StrPath, name: str
) -> tuple[str, ...]:
    """Remove a dirty bitmap from a qcow2 image."""
    return (
        *(qemu_img, "bitmap", "--remove", "-f", "qcow2"),
        *(file_name(path), name),
    )


def flatten_argv(
    qemu_img: str, path: StrPath, *, unsafe: bool = False
) -> tuple[str, ...]:
    """Copy all that is below a qcow2 overlay into it: it stands alone.

    :param unsafe: that was done, and only its header does not say so
    """
    return (
        *(qemu_img, "rebase", "-q", "-f", "qcow2"),
        *(("-u",) if unsafe else ()),
        *("-b", "", file_name(path)),
    )


def commit_argv(
    qemu_img: str, path: StrPath, format: str, *, base: StrPath | None = None
) -> tuple[str, ...]:
    """Write what an overlay holds into its backing file, or down to base.

    :param base: as the chain spells it
    """
    return (
        *(qemu_img, "commit", "-q", "-f", format),
        *(() if base is None else ("-b", os.fspath(base))),
        file_name(path),
    )


def copy_argv(source: StrPath, target: StrPath) -> tuple[str, ...]:
    """Copy a file as it is: shared blocks where the file system can.

    Holes stay holes (cp(1)).
    """
    return (
        *("cp", "--reflink=auto", "--sparse=auto"),
        *("--", os.fspath(source), os.fspath(target)),
    )


def copy_tree_argv(source: StrPath, target: StrPath) -> tuple[str, ...]:
    """Copy a directory, which must not be there yet, as it is."""
    return (
        *("cp", "--archive", "--no-target-directory", "--reflink=auto"),
        *("--", os.fspath(source), os.fspath(target)),
    )
