"""Images: what qemu-img says about one, and which may be trusted.

The format of an image is probed once, when it comes in (:func:`probe`),
stored, and passed ever after.  A raw image must never be probed again:
its guest writes the bytes that a probe looks at, and could make it name
any file of the host as its backing file.
"""

import json
import stat
from pathlib import Path
from typing import Any

import msgspec

from qemu_cli.errors import NotFoundError, QemuCliError, UsageError
from qemu_cli.steps import run_tool
from qemu_cli.storage import header
from qemu_cli.storage.qemu_img import info_argv, map_argv

_SECTOR_BYTES = 512
#: An overlay that is larger is not asked whether it is empty.
_EMPTY_MAX_BYTES = 4 << 20


class Snapshot(msgspec.Struct, frozen=True):
    """An internal snapshot; ``date_s`` is in seconds since 1970.

    :param disk_size_bytes: how large the disk was; None: qemu-img does not
        tell, but :mod:`qemu_cli.storage.snapshot_table` may
    """

    id: str
    name: str
    vm_state_size_bytes: int
    date_s: int
    disk_size_bytes: int | None = None


class Bitmap(msgspec.Struct, frozen=True):
    """A dirty bitmap that is stored in an image.

    :param recording: a QEMU that opens the image notes writes in it
    :param in_use: a QEMU has it in memory; or was killed, and what it had
        noted is lost
    """

    name: str
    granularity_bytes: int
    recording: bool
    in_use: bool


class ImageInfo(msgspec.Struct, frozen=True):
    """An image as ``qemu-img info`` sees it (QAPI ImageInfo).

    ``backing_file`` and ``data_file`` are as QEMU would open them.
    ``extents`` are the files that a VMDK consists of.
    """

    path: str
    format: str
    virtual_size_bytes: int
    actual_size_bytes: int
    backing_file: str | None = None
    backing_format: str | None = None
    data_file: str | None = None
    extents: tuple[str, ...] = ()
    encrypted: bool = False
    dirty: bool = False
    corrupt: bool = False
    snapshots: tuple[Snapshot, ...] = ()
    bitmaps: tuple[Bitmap, ...] = ()
    cluster_size_bytes: int | None = None


async def info(
    qemu_img: str, path: Path, *, format: str | None = None
) -> ImageInfo:
    """Ask qemu-img about an image, also while a VM uses it.

    Its backing file is not opened.

    :param format: the stored format; without it qemu-img probes, which
        is for :func:`probe` only
    :raise ToolError: with qemu-img's words
    """
    out = await run_tool(info_argv(qemu_img, path, format))
    return _parse(json.loads(out))


async def chain(
    qemu_img: str, path: Path, *, format: str
) -> tuple[ImageInfo, ...]:
    """Ask qemu-img about an image and all below it, active layer first.

    :raise ToolError: with qemu-img's words, such as a missing base
    """
    argv = info_argv(qemu_img, path, format, "--backing-chain")
    return tuple(map(_parse, json.loads(await run_tool(argv))))


async def is_empty(qemu_img: str, image: ImageInfo) -> bool:
    """Tell whether an overlay holds nothing: it reads as its base does.

    :raise ToolError: with qemu-img's words
    """
    path = Path(image.path)
    if (
        image.format != "qcow2"
        or not image.backing_file
        or image.snapshots
        or path.stat().st_size > _EMPTY_MAX_BYTES
    ):
        return False
    argv = map_argv(qemu_img, path, image.format)
    return not any(
        # What nobody has ever written is not present in any layer.
        extent["depth"] == 0 and extent.get("present", True)
        for extent in json.loads(await run_tool(argv))
    )


async def probe(
    qemu_img: str,
    path: Path,
    *,
    format: str | None = None,
    trusted: bool = False,
    alone: bool = False,
) -> ImageInfo:
    """Look at an image that comes in; once, its format is then stored.

    :param format: what the user says it is; not probed then
    :param trusted: the user vouches for the files that it refers to
    :param alone: its backing file is not going to be opened
    :raise NotFoundError: when there is no such file
    :raise UsageError: when it is no image, or needs trust
    :raise ToolError: when qemu-img can't make sense of it
    """
    path = path.absolute()
    size_bytes = _regular_size(path)
    if not trusted and format in (None, "qcow2"):
        # qemu-img opens a data file, whatever it is: look before it does.
        found = header.read(path)
        _refuse_references(
            path,
            backing_file=None if alone else found and found.backing_file,
            data_file=found and found.data_file,
        )
    image = await info(qemu_img, path, format=format)
    if not trusted:
        _refuse_references(
            path,
            backing_file=None if alone else image.backing_file,
            data_file=image.data_file,
            extents=image.extents,
        )
    ragged = size_bytes is not None and size_bytes % _SECTOR_BYTES
    if format is None and image.format == "raw" and ragged:
        raise UsageError(
            f"{path} does not look like an image: no format is recognised,"
            f" and {size_bytes} bytes are no whole number of sectors",
            hint="if it is a raw image, say so: with 'format=raw' behind it"
            " for --disk, with '--image-format raw' for 'qemu image'",
        )
    return image


def _parse(raw: dict[str, Any]) -> ImageInfo:
    details = raw.get("format-specific", {}).get("data", {})
    return ImageInfo(
        path=raw["filename"],
        format=raw["format"],
        virtual_size_bytes=raw["virtual-size"],
        actual_size_bytes=raw.get("actual-size", 0),
        backing_file=(
            raw.get("full-backing-filename") or raw.get("backing-filename")
        ),
        backing_format=raw.get("backing-filename-format"),
        data_file=details.get("data-file"),
        extents=tuple(
            extent["filename"] for extent in details.get("extents", ())
        ),
        encrypted=raw.get("encrypted", False),
        dirty=raw.get("dirty-flag", False),
        corrupt=details.get("corrupt", False),
        snapshots=tuple(
            Snapshot(
                id=snapshot["id"],
                name=snapshot["name"],
                vm_state_size_bytes=snapshot["vm-state-size"],
                date_s=snapshot["date-sec"],
            )
            for snapshot in raw.get("snapshots", ())
        ),
        bitmaps=tuple(
            Bitmap(
                name=bitmap["name"],
                granularity_bytes=bitmap["granularity"],
                recording="auto" in bitmap["flags"],
                in_use="in-use" in bitmap["flags"],
            )
            for bitmap in details.get("bitmaps", ())
        ),
        cluster_size_bytes=raw.get("cluster-size"),
    )


def _regular_size(path: Path) -> int | None:
    """Return a regular file's size in bytes, None for a block device."""
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            # Not open(): that would wait for the writer of a FIFO.
            if stat.S_ISBLK(status.st_mode):
                return None
            if stat.S_ISREG(status.st_mode) and status.st_size:
                path.open("rb").close()
                return status.st_size
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"there is no image file {path}") from error
    except OSError as error:
        raise QemuCliError(
            f"the image {path} can't be read: {error.strerror}"
        ) from error
    if stat.S_ISREG(status.st_mode):
        raise UsageError(
            f"{path} is empty: it is no image",
            hint="to make a new disk, give a size: --disk 10G",
        )
    kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a special file"
    raise UsageError(f"{path} is {kind}, not an image")


def _refuse_references(
    path: Path,
    *,
    backing_file: str | None,
    data_file: str | None,
    extents: tuple[str, ...] = (),
) -> None:
    """Refuse an image that would make QEMU open other files."""
    others = [name for name in extents if not _same(path, name)]
    if backing_file:
        what = f"has the backing file {backing_file}"
    elif data_file:
        what = f"keeps its data in the file {data_file}"
    elif others:
        what = f"consists of other files: {', '.join(others)}"
    else:
        return
    raise UsageError(
        f"the image {path} {what}, and that would be read, too",
        hint="if you know where the image comes from: --trust-image",
    )


def _same(path: Path, name: str) -> bool:
    try:
        return path.samefile(name)
    except OSError:
        return False
