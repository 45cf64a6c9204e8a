"""Whether there is room for what is going to be written."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from qemu_cli.instance.disks.chains import Layer
from qemu_cli.instance.host import Host
from qemu_cli.units import format_size


def check_room(host: Host, directory: Path, layers: Sequence[Layer]) -> None:
    """Warn if a copy of some layers may fill the disk.

    It may take less than they do: one hides parts of another.
    """
    needed = sum(layer.actual_size_bytes or 0 for layer in layers)
    free = shutil.disk_usage(directory).free
    if free < needed:
        host.warn(
            f"it takes up to {format_size(needed)}, and {format_size(free)} "
            f"are free in {directory}"
        )
