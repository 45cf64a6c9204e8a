"""Whether an internal snapshot can be read where it is.

QEMU shows one as large as its image is now.  Where that is less than the
disk was then, the rest can't be reached before one goes back to it
(seen: 7.2.22, 10.0.2).
"""

from pathlib import Path

from qemu_cli.errors import StateError
from qemu_cli.storage import snapshot_table as table
from qemu_cli.units import format_size


def check_whole(
    file: Path, tag: str, size_bytes: int, *, what: str, revert: str
) -> None:
    """See that all of an internal snapshot can be read.

    :param tag: its name in the image
    :param size_bytes: of the image, now
    :param what: it is called in the message
    :param revert: the command that goes back to it
    :raise StateError: its disk was larger
    """
    sizes = {each.name: each.disk_size_bytes for each in table.read(file)}
    then = sizes.get(tag)
    if then is not None and then > size_bytes:
        raise StateError(
            f"{what} can't be read whole: the disk had {format_size(then)} "
            f"then, has {format_size(size_bytes)} now, and QEMU shows no "
            "more than that",
            hint=f"'{revert}' goes back to it",
        )
