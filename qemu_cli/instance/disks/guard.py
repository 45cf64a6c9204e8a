"""What must not be done to a disk, and why: asked before QEMU would."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qemu_cli.errors import (
    BusyError,
    NotFoundError,
    QemuCliError,
    StateError,
)
from qemu_cli.instance import needs, saved
from qemu_cli.instance.disks.chains import Layer, stored, unknown
from qemu_cli.instance.exports import held
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition, Disk
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.snapshots import store
from qemu_cli.instance.snapshots.store import Snapshot
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.storage import dependants, graph
from qemu_cli.storage.graph import Device, Graph, Node

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session

#: Node-names have at most 31 characters, and this leaves room for a number.
_NAME_MAX = 24


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
    check_unsaved(vm)
    held.check_unserved(vm.paths)
    if vm.alive:
        check_answers(vm)


def check_unsaved(vm: VM) -> None:
    """Refuse to change disks that must be as they were left.

    :raise StateError: it has a saved state
    """
    if saved.exists(vm.paths):
        raise StateError(
            f"'{vm.name}' has a saved state, which goes with its disks as "
            "they are",
            hint=f"'qemu start {vm.name}' goes on from it; with "
            "--discard-saved it boots instead",
        )


class Live(NamedTuple):
    """A disk of a running VM, as QEMU has it."""

    graph: Graph
    device: Device

    @property
    def active(self) -> Node:
        """The layer that the guest writes to."""
        return self.graph.active(self.device)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all layers, active layer first."""
        return tuple(node.name for node in self.graph.chain(self.device))


async def look(host: Host, vm: VM, id: str) -> Live | None:
    """Look at a disk or a CD drive in the running QEMU.

    :return: None: the VM does not run, or has not got it yet
    """
    if not vm.alive:
        return None
    async with host.sessions.open(vm.monitors) as session:
        found = await graph.read(session)
    try:
        return Live(found, found.device(id))
    except NotFoundError:
        return None


async def live(host: Host, vm: VM, disk: Disk) -> Live | None:
    """Look at a disk in the running QEMU, where nothing else is at it.

    :return: see :func:`look`
    :raise BusyError: a job, an export, or a filter that belongs to one
    :raise StateError: QEMU uses another image than the definition says
    """
    seen = await look(host, vm, disk.id)
    if seen is None:
        return None
    async with host.sessions.open(vm.monitors) as session:
        await _check_idle(session, seen)
    file = vm.paths.directory / disk.file
    if seen.active not in seen.graph.of_file(file):
        raise StateError(
            f"QEMU writes {disk.id} to {seen.active.file}, and the definition"
            f" says {file}: somebody has changed it by hand",
            hint=f"put it right first: 'qemu edit {vm.name}'",
        )
    return seen


async def _check_idle(session: "Session", seen: Live) -> None:
    jobs = await session.execute("query-jobs")
    going = [job["id"] for job in jobs if job["status"] != "concluded"]
    if going:
        raise BusyError(
            f"a job goes on: {', '.join(going)}",
            hint="'qemu job list' shows it, 'qemu job wait' waits for it",
        )
    exports = await session.execute("query-block-exports")
    served = {each["node-name"] for each in exports}.intersection(seen.nodes)
    if served or seen.graph.filters(seen.device):
        raise BusyError(
            f"{seen.device.id} is being exported",
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


async def removable(
    host: Host,
    paths: InstancePaths,
    definition: Definition,
    disk: Disk,
    files: Sequence[Path],
    *,
    tool: str,
) -> list[Path]:
    """Tell which of a disk's layers nobody needs but that disk.

    :param files: from the top down; what one that stays stands on, stays
    """
    found = []
    for file in files:
        if (
            not is_own(paths, file)
            or await users(host, paths, definition, disk, [file], tool=tool)
            or await snapshots_on(paths, file, tool=tool)
        ):
            break
        found.append(file)
    return found


async def layers(
    paths: InstancePaths, disk: Disk, *, tool: str
) -> tuple[Layer, ...]:
    """Look at the images of a disk, active layer first.

    :raise StateError: one is missing or damaged
    """
    found = await stored(tool, paths.directory / disk.file, disk.format)
    for layer in found:
        if layer.problem:
            raise StateError(f"{disk.id}: {layer.file}: {layer.problem}")
    return found


def check_no_snapshots(disk: Disk, layer: Layer, why: str, hint: str) -> None:
    """Refuse what internal snapshots in a layer would not survive.

    :raise StateError: there are some; names them
    """
    if layer.snapshots:
        names = ", ".join(f"'{each}'" for each in layer.snapshots)
        raise StateError(
            f"{disk.id} has the internal snapshots {names}, which {why}",
            hint=hint,
        )


def is_own(paths: InstancePaths, file: Path) -> bool:
    """Whether a file is in the instance's directory, and so ours."""
    return file.resolve().is_relative_to(paths.directory.resolve())


def free_node(id: str, graph: Graph) -> str:
    """Return a name for another node of a device, that no node has."""
    number = 1
    while (name := f"{id[:_NAME_MAX]}.{number}") in graph.nodes:
        number += 1
    return name
