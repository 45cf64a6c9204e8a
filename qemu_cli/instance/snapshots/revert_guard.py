"""What forbids that a VM goes back: its files, and who is at them."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from qemu_cli.errors import (
    BusyError,
    NotFoundError,
    QemuCliError,
    StateError,
)
from qemu_cli.instance.snapshots.layers import Layers
from qemu_cli.instance.snapshots.revert_plan import Target
from qemu_cli.instance.snapshots.store import Snapshot
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.storage import holders
from qemu_cli.units import format_size

#: ioctl(2) of linux/fs.h: share the blocks of a whole file.
_FICLONE = 0x40049409


def check_layers(vm: VM, snapshot: Snapshot, layers: Layers) -> None:
    """See that all that the snapshot consists of is there."""
    for each in snapshot.layers:
        file = Path(os.path.realpath(vm.paths.directory / each.file))
        missing = layers.missing(file)
        if missing:
            raise NotFoundError(
                f"the snapshot '{snapshot.name}' of '{vm.name}' lacks a "
                f"file: {missing}",
                hint="put it back",
            )
        if (
            snapshot.kind == "internal"
            and snapshot.key not in layers.files[file].tags
        ):
            raise StateError(
                f"{each.file} does not have the snapshot '{snapshot.name}' "
                "any more: it was deleted by another program",
                hint="'qemu snapshot delete' forgets it",
            )
    ram = vm.paths.snapshot_ram(snapshot.key)
    external = snapshot.kind == "external"
    if external and snapshot.memory and not ram.exists():
        raise NotFoundError(
            f"the RAM of the snapshot '{snapshot.name}' is missing: {ram}",
            hint="put it back, or go back to the disks alone: --no-ram",
        )


def check_holders(vm: VM, layers: Layers, targets: Sequence[Target]) -> None:
    """Refuse while another program has open what is going to change."""
    own = vm.process.pid if vm.process else None
    chains = {
        file: each.how
        for each in targets
        for file in layers.chain(each.layer.file)
    }
    for file, found in holders.of_each(chains).items():
        in_place = any(
            each.layer.file == file and each.how == "in place"
            for each in targets
        )
        others = [
            holder
            for holder in found
            if holder.pid != own and (in_place or holder.writes)
        ]
        if others:
            raise BusyError(
                f"the image {file} is in use by {holders.listed(others)}",
                hint="end that first, or wait until it is done",
            )


def check_space(paths: InstancePaths, targets: Sequence[Target]) -> None:
    """Refuse copies that would fill the disk."""
    copies = [each.layer for each in targets if each.how == "copy"]
    needed = sum(layer.actual_size_bytes for layer in copies)
    free = shutil.disk_usage(paths.directory).free
    if needed > free and not _shares_blocks(copies[0].file, paths.directory):
        raise QemuCliError(
            f"no room to go back: {format_size(needed)} have to be copied, "
            f"and {format_size(free)} are free in {paths.directory}",
            hint="make room there",
        )


def _shares_blocks(file: Path, directory: Path) -> bool:
    """Whether a copy takes no room: btrfs, XFS (ioctl_ficlone(2))."""
    try:
        with (
            file.open("rb") as source,
            tempfile.TemporaryFile(dir=directory) as target,
        ):
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except OSError:
        return False
    return True
