"""What must not be done to a disk, and why: asked before QEMU would."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.errors import BusyError, QemuCliError, StateError
from qemu_cli.instance import needs, saved
from qemu_cli.instance.disks.chains import unknown
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition, Disk
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.snapshots import store
from qemu_cli.instance.snapshots.store import Snapshot
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.storage import dependants

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session
    from qemu_cli.storage.graph import Device, Graph


def find(vm: VM, definition: Definition, id: str) -> Disk:
    """Return a disk of a definition.

    :raise NotFoundError: there is none of that id
    """
    for disk in definition.disks:
        if disk.id == id:
            return disk
    raise unknown(vm.name, id, [disk.id for disk in definition.disks])


def check_changeable(vm: VM) -> None:
    """Refuse while a change would spoil something, or can't be made.

    :raise StateError: it has a saved state, or does not answer
    """
    if saved.exists(vm.paths):
        raise StateError(
            f"'{vm.name}' has a saved state, which goes with its disks as "
            "they are",
            hint=f"'qemu start {vm.name}' goes on from it; with "
            "--discard-saved it boots instead",
        )
    if vm.alive:
        check_answers(vm)


async def check_idle(
    session: "Session", graph: "Graph", device: "Device"
) -> None:
    """Refuse while something else goes on with a running VM's disk.

    :raise BusyError: a job, an export, or a filter that belongs to one
    """
    jobs = await session.execute("query-jobs")
    going = [job["id"] for job in jobs if job["status"] != "concluded"]
    if going:
        raise BusyError(
            f"a job goes on: {', '.join(going)}",
            hint="'qemu job list' shows it, 'qemu job wait' waits for it",
        )
    chain = {node.name for node in graph.chain(device)}
    exports = await session.execute("query-block-exports")
    served = [each["id"] for each in exports if each["node-name"] in chain]
    if served or graph.filters(device):
        raise BusyError(
            f"{device.id} is being exported",
            hint="'qemu export list' shows it, 'qemu export stop' ends it",
        )


async def check_unneeded(
    host: Host,
    paths: InstancePaths,
    definition: Definition,
    disk: Disk,
    files: Sequence[Path],
    *,
    tool: str,
) -> None:
    """Refuse to touch files that other disks need.

    :param disk: whose files they are
    :raise StateError: names who needs which
    """
    found = await users(host, paths, definition, disk, files, tool=tool)
    for who, file in found.items():
        raise StateError(f"{file} is needed by {who}")


async def users(
    host: Host,
    paths: InstancePaths,
    definition: Definition,
    disk: Disk,
    files: Sequence[Path],
    *,
    tool: str,
) -> dict[str, Path]:
    """Name those that need one of some files, but for the disk itself."""
    others = await needs.everyone(host, tool)
    others.pop(paths.name, None)
    chains: dict[str, list[Path]] = {
        f"'{name}'": list(chain) for name, chain in others.items()
    }
    for other in definition.disks:
        if other.id == disk.id:
            continue
        file = paths.directory / other.file
        try:
            chains[other.id] = await dependants.backing_chain(
                tool, file, format=other.format
            )
        except QemuCliError:
            chains[other.id] = [file]  # what is below, nobody can read
    return dependants.users(files, chains)


async def snapshots_on(
    paths: InstancePaths, file: Path, *, tool: str
) -> list[Snapshot]:
    """The instance's snapshots that a file belongs to, or is below of."""
    wanted = dependants.identity(file)
    found = []
    for snapshot in store.load(paths).snapshots:
        for layer in snapshot.layers:
            top = paths.directory / layer.file
            chain = await dependants.backing_chain(
                tool, top, format=layer.format
            )
            if wanted in map(dependants.identity, chain):
                found.append(snapshot)
                break
    return found


def is_own(paths: InstancePaths, file: Path) -> bool:
    """Whether a file is in the instance's directory, and so ours."""
    return file.resolve().is_relative_to(paths.directory.resolve())
