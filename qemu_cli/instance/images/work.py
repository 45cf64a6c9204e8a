"""What ``qemu image`` does: make, copy, check, compare and map."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from qemu_cli.errors import UsageError
from qemu_cli.instance.change import changing
from qemu_cli.instance.host import Host
from qemu_cli.instance.images import subject as subjects
from qemu_cli.instance.images.subject import Layer, Subject
from qemu_cli.steps import run_tool
from qemu_cli.storage import check as checks
from qemu_cli.storage import convert as copying
from qemu_cli.storage import extents, images, qemu_img, tools
from qemu_cli.storage.check import Health
from qemu_cli.storage.extents import Extent
from qemu_cli.storage.images import ImageInfo
from qemu_cli.units import format_size


class Map(NamedTuple):
    """An image's extents, and the layers that they are in."""

    subject: Subject
    layers: tuple[Layer, ...]
    extents: tuple[Extent, ...]

    def file_of(self, extent: Extent) -> str:
        """The file that a part is read from."""
        # What is below one that is no file of this host is not known.
        return self.layers[min(extent.depth, len(self.layers) - 1)].file

    @property
    def totals(self) -> dict[str, int]:
        """How many bytes there are of each kind."""
        found: Counter[str] = Counter()
        for extent in self.extents:
            found[extent.kind] += extent.length_bytes
        return dict(found)


class Comparison(NamedTuple):
    """Two images, side by side.

    :param difference_bytes: where the first difference is, or about
        there; None: they read the same
    """

    first: Subject
    second: Subject
    difference_bytes: int | None


async def create(
    host: Host,
    path: Path,
    *,
    format: str,
    size_bytes: int | None = None,
    backing: Path | None = None,
    backing_format: str | None = None,
    trusted: bool = False,
) -> ImageInfo:
    """Make an empty image, or an overlay on another.

    :param size_bytes: what the guest shall see; an overlay is as large as
        its base by default
    :raise StateError: there is such a file; or a VM writes to the base
    :raise UsageError: no size, or one that is smaller than the base
    """
    tool = tools.find("qemu-img", host.config)
    path = path.absolute()
    copying.require_new(path)
    if backing is None:
        if size_bytes is None:
            raise UsageError(
                "no size given",
                hint="as in 'qemu image create disk.qcow2 10G'; an overlay"
                " (--backing) is as large as its base",
            )
        argv = qemu_img.create_argv(tool, path, size_bytes, format)
    else:
        if format != "qcow2":
            raise UsageError(f"an overlay is qcow2, not {format}")
        base = await subjects.look(
            host, backing, format=backing_format, trusted=trusted
        )
        subjects.require_base(base)
        smallest = base.image.virtual_size_bytes
        if size_bytes is not None and size_bytes < smallest:
            raise UsageError(
                f"{format_size(size_bytes)} is less than what {base.path} has:"
                f" {format_size(smallest)}"
            )
        argv = qemu_img.create_overlay_argv(
            *(tool, path, base.path, base.image.format),
            size_bytes=size_bytes,
        )
    try:
        await run_tool(argv)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    return await images.info(tool, path, format=format)


async def convert(
    host: Host,
    source: Path,
    target: Path,
    *,
    to: str,
    format: str | None = None,
    compress: bool = False,
    trusted: bool = False,
) -> ImageInfo:
    """Copy an image with all that it stands on into a new one.

    :param to: the format of the new one
    :param format: of the source, as the user says
    :raise StateError: there is such a target
    :raise BusyError: somebody writes to the source
    """
    tool = tools.find("qemu-img", host.config)
    if compress and to not in copying.COMPRESSED:
        raise UsageError(
            f"{to} can't be compressed; {' and '.join(copying.COMPRESSED)} can"
        )
    copying.require_new(target.absolute())
    found = await subjects.look(host, source, format=format, trusted=trusted)
    chain = await subjects.layers(host, found)
    subjects.require_whole(source, chain, trusted=True)
    await subjects.require_steady(host, found)
    with host.progress(f"converting {source.name}") as tell:
        await copying.convert(
            *(tool, found.path, found.image.format, target, to),
            compress=compress,
            progress=tell,
        )
    return await images.info(tool, target.absolute(), format=to)


async def info(
    host: Host, path: Path, *, format: str | None = None
) -> tuple[Subject, tuple[Layer, ...]]:
    """Tell everything about an image, also while it is in use."""
    found = await subjects.look(host, path, format=format, alone=True)
    return found, await subjects.layers(host, found)


async def check(
    host: Host,
    path: Path,
    *,
    format: str | None = None,
    repair: Literal["leaks", "all"] | None = None,
) -> tuple[Subject, Health]:
    """Look for errors in an image, and mend them if told so.

    :raise BusyError: to be mended, and somebody has it open
    :raise StateError: to be mended, and others are built on it
    """
    tool = tools.find("qemu-img", host.config)
    found = await subjects.look(host, path, format=format, alone=True)
    if repair is None:
        return found, await checks.check(tool, found.image)
    users = [host.paths.instance(use.vm) for use in found.uses]
    async with contextlib.AsyncExitStack() as stack:
        if users:  # nobody starts one of them while we write
            await stack.enter_async_context(changing(host, *users))
        found = await subjects.look(host, path, format=format, alone=True)
        subjects.require_idle(host, found)
        return found, await checks.check(tool, found.image, repair=repair)


async def compare(
    host: Host,
    first: Path,
    second: Path,
    *,
    formats: Sequence[str | None] = (None, None),
    trusted: bool = False,
) -> Comparison:
    """Compare what two images read as, with all that they stand on.

    :raise BusyError: somebody writes to one of them
    """
    tool = tools.find("qemu-img", host.config)
    found = []
    for path, format in zip((first, second), formats, strict=True):
        each, _ = await _readable(host, path, format, trusted)
        await subjects.require_steady(host, each)
        found.append(each)
    one, other = found
    with host.progress(f"comparing {first.name}") as tell:
        difference = await checks.first_difference(
            tool, one.image, other.image, progress=tell
        )
    return Comparison(one, other, difference)


async def map(
    host: Host,
    path: Path,
    *,
    format: str | None = None,
    trusted: bool = False,
) -> Map:
    """Tell in which layer each part of an image is.

    While a VM writes to it, that is how it was a moment ago.
    """
    tool = tools.find("qemu-img", host.config)
    found, chain = await _readable(host, path, format, trusted)
    parts = await extents.read(
        *(tool, found.path, found.image.format), shared=True
    )
    return Map(found, chain, tuple(parts))


async def _readable(
    host: Host, path: Path, format: str | None, trusted: bool
) -> tuple[Subject, tuple[Layer, ...]]:
    """Look at an image of which nothing comes out but how it is laid out.

    So its backing files need no trust, as far as they are files.
    """
    found = await subjects.look(
        host, path, format=format, trusted=trusted, alone=True
    )
    chain = await subjects.layers(host, found)
    subjects.require_whole(path, chain, trusted=trusted)
    return found, chain
