"""Is an image sound?  And do two images read the same?"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from qemu_cli.errors import UsageError
from qemu_cli.steps import run_tool
from qemu_cli.storage import holders
from qemu_cli.storage.convert import following
from qemu_cli.storage.images import ImageInfo
from qemu_cli.storage.qemu_img import check_argv, compare_argv

#: Formats with tables that can be wrong (qemu-img(1), ``check``).
CHECKED = ("parallels", "qcow2", "qed", "vdi", "vhdx", "vmdk")

#: qemu-img(1): 2 is corruption, 3 leaks.
_CHECK_CODES = (0, 2, 3)
_MISMATCH = re.compile(r"Content mismatch at offset (\d+)!")


class Health(msgspec.Struct, frozen=True):
    """What ``qemu-img check`` found (QAPI ImageCheck), in clusters.

    :param errors: places that could not be checked
    :param corruptions: what is wrong: data is or will be damaged
    :param leaks: clusters that nobody uses: wasted space, nothing worse
    :param corruptions_fixed: how many were mended
    :param leaks_fixed: how many were given back
    :param allocated_clusters: how many hold data
    :param total_clusters: how many there can be
    :param fragmented_clusters: not behind their predecessors
    :param compressed_clusters: how many are compressed
    """

    errors: int
    corruptions: int = 0
    leaks: int = 0
    corruptions_fixed: int = 0
    leaks_fixed: int = 0
    allocated_clusters: int = 0
    total_clusters: int = 0
    fragmented_clusters: int = 0
    compressed_clusters: int = 0

    @property
    def verdict(self) -> str:
        """``ok``, ``leaks`` or ``damaged``."""
        if self.errors or self.corruptions:
            return "damaged"
        return "leaks" if self.leaks else "ok"


async def check(
    qemu_img: str,
    image: ImageInfo,
    *,
    repair: Literal["leaks", "all"] | None = None,
) -> Health:
    """Look for errors in an image's tables; its backing file is not read.

    :raise UsageError: the format has nothing to check
    :raise BusyError: to be repaired, and somebody has it open
    :raise ToolError: with qemu-img's words
    """
    if image.format not in CHECKED:
        raise UsageError(
            f"{image.path} is {image.format}: that format has no tables"
            " that could be wrong"
        )
    path = Path(image.path)
    overlay = image.backing_file is not None
    argv = check_argv(
        qemu_img, path, image.format, overlay=overlay, repair=repair
    )
    with holders.naming(path):
        found: dict[str, Any] = json.loads(
            await run_tool(argv, good=_CHECK_CODES)
        )
    return msgspec.convert(
        {
            key.replace("-", "_").removeprefix("check_"): value
            for key, value in found.items()
        },
        Health,
    )


async def first_difference(
    qemu_img: str,
    image: ImageInfo,
    other: ImageInfo,
    *,
    progress: Callable[[int, int], object],
) -> int | None:
    """Compare what two images read as, with their backing chains.

    Behind the end of the smaller one there must be zeros.

    :param progress: is told parts done, and all
    :return: the first byte that differs, or about it; None: there is none
    :raise BusyError: somebody writes to one of them
    :raise ToolError: with qemu-img's words
    """
    argv = compare_argv(
        *(qemu_img, image.path, image.format, other.path, other.format)
    )
    with holders.naming(Path(image.path), Path(other.path)):
        said = await following(argv, progress, good=(0, 1))
    differs = _MISMATCH.search(said)
    return int(differs[1]) if differs else None
