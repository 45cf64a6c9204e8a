"""How long a guest would stand still for its RAM to be written.

QEMU writes an internal snapshot's RAM in one go, and does nothing else
meanwhile: nobody can look how far it is, or cancel it.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from qemu_cli.instance import ram
from qemu_cli.instance.host import Host
from qemu_cli.instance.snapshots import store
from qemu_cli.instance.snapshots.store import Tree
from qemu_cli.instance.vm import VM

#: Bytes a second that any disk does: if that is enough, nobody measures.
_SLOW = 16 << 20

#: What is written to measure the disk.
_PROBE_BYTES = 32 << 20

#: A snapshot with less RAM says more of QEMU than of the disk.
_TELLING_BYTES = 64 << 20


class Freeze(NamedTuple):
    """An estimate.

    :param ram_bytes: RAM in use, at most
    :param rate: bytes a second
    :param measured: the rate is of this disk; else any disk does more
    """

    ram_bytes: int
    rate: float
    measured: bool = True

    @property
    def seconds(self) -> float:
        """How long it would take."""
        return self.ram_bytes / self.rate


async def estimate(host: Host, vm: VM, limit_s: float) -> Freeze:
    """Estimate how long an internal snapshot of a running VM takes.

    :param limit_s: whether it is more than that is what matters
    """
    ram_bytes = await ram.size(host, vm)
    rate = known_rate(store.load(vm.paths))
    if rate is None and ram_bytes / _SLOW <= limit_s:
        return Freeze(ram_bytes, _SLOW, measured=False)
    return Freeze(ram_bytes, rate or _measure(vm.paths.directory))


def known_rate(tree: Tree) -> float | None:
    """Return how fast the last snapshot's RAM was written, if that tells."""
    for snapshot in reversed(tree.snapshots):
        memory = snapshot.memory
        if memory and memory.size_bytes >= _TELLING_BYTES:
            return memory.size_bytes / max(memory.seconds, 0.001)
    return None


def _measure(directory: Path) -> float:
    """Write something that can't be compressed, and see how fast it is."""
    piece = os.urandom(1 << 20)
    with tempfile.TemporaryFile(dir=directory) as file:
        started = time.monotonic()
        for _ in range(_PROBE_BYTES // len(piece)):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
        return _PROBE_BYTES / (time.monotonic() - started)
