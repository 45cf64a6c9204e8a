"""Whether there is room for what is going to be written."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from qemu_cli.instance.disks.chains import Layer
from qemu_cli.instance.host import Host
from qemu_cli.units import format_size


def check_room(host: Host, directory: Path, layers: Sequence[Layer]) -> None:
    """Warn if a copy of some layers may fill the disk."""
    warn_of_room(
        host, directory, sum(layer.actual_size_bytes or 0 for layer in layers)
    )


def warn_of_room(
    host: Host, directory: Path, needed_bytes: int, what: str = "it"
) -> None:
    """Warn if something may fill the disk.

    It may take less: one layer hides parts of another.

    :param needed_bytes: what it takes at most
    """
    free = shutil.disk_usage(directory).free
    if free < needed_bytes:
        host.warn(
            f"{what} takes up to {format_size(needed_bytes)}, and "
            f"{format_size(free)} are free in {directory}"
        )
