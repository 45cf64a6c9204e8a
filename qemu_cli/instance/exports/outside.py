"""What is served by daemons: disks of a stopped VM, snapshots of any."""

import datetime
from collections.abc import Collection, Sequence
from typing import NamedTuple

from qemu_cli.errors import NotFoundError, StateError
from qemu_cli.instance.exports import daemon, snapshot
from qemu_cli.instance.exports.daemon import Programs
from qemu_cli.instance.exports.model import Export, Wanted, unix_uri
from qemu_cli.instance.exports.plan import Planned
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Disk
from qemu_cli.instance.snapshots import store
from qemu_cli.instance.snapshots.store import Snapshot
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep
from qemu_cli.storage.images import ImageInfo
from qemu_cli.suggest import did_you_mean


class Source(NamedTuple):
    """A disk that is to be served, and the image that has it."""

    disk: str
    image: ImageInfo


class Facts(NamedTuple):
    """What the world says about what is wanted.

    :param snapshot: None: the disks as they are now
    """

    programs: Programs
    sources: tuple[Source, ...]
    snapshot: Snapshot | None = None


def concerns(vm: VM, wanted: Wanted) -> bool:
    """Whether daemons serve it, and not the VM's QEMU."""
    return wanted.kind == "snapshot" or not vm.alive


async def gather(
    host: Host, vm: VM, wanted: Wanted, known: Sequence[Export]
) -> Facts:
    """Find the images that are to be served, and see that they can be.

    :param vm: held, so that nothing changes
    :param known: what is served of it already
    :raise NotFoundError: there is no such disk, layer or snapshot
    :raise StateError: it must not be served in this way
    :raise BusyError: another program has an image
    """
    if wanted.snapshot is not None:
        found = store.load(vm.paths).find(wanted.snapshot)
        ids = wanted.disks or snapshot.disks(found)
        return Facts(
            daemon.programs(host),
            tuple(
                [
                    Source(id, await snapshot.layer(host, vm, found, id))
                    for id in ids
                ]
            ),
            found,
        )
    disks = chosen(vm, wanted)
    for disk in disks:
        check_compatible(vm, disk, wanted, known)
    return Facts(
        daemon.programs(host),
        tuple(
            [
                Source(disk.id, await daemon.layer(host, vm, disk, wanted))
                for disk in disks
            ]
        ),
    )


def chosen(vm: VM, wanted: Wanted) -> tuple[Disk, ...]:
    """The disks that are meant: all, if none is named.

    :raise NotFoundError: it has no such disk, or none at all
    """
    disks = {disk.id: disk for disk in vm.definition.disks}
    if not disks:
        raise NotFoundError(f"'{vm.name}' has no disk")
    for id in wanted.disks:
        if id not in disks:
            raise NotFoundError(
                f"'{vm.name}' has no disk '{id}'",
                hint=did_you_mean(id, disks) or f"it has {', '.join(disks)}",
            )
    return tuple(disks[id] for id in wanted.disks or disks)


def check_compatible(
    vm: VM, disk: Disk, wanted: Wanted, known: Sequence[Export]
) -> None:
    """See that nobody reads what another one writes.

    :raise StateError: somebody would
    """
    for other in known:
        if other.disk == disk.id and "writable" in (wanted.kind, other.kind):
            raise StateError(
                f"{disk.id} of '{vm.name}' is exported already, as "
                f"'{other.name}': while a client writes to a disk, nobody "
                "else can have it",
                hint=f"'qemu export stop {vm.name} {other.name}' first",
            )


def plan(
    paths: InstancePaths,
    wanted: Wanted,
    facts: Facts,
    ids: Collection[str],
    now: datetime.datetime,
) -> Planned:
    """Serve images by daemons.  Pure.

    :param ids: those of the exports to be, one for each source
    """
    steps: list[AnyStep] = []
    exports = []
    for id, source in zip(ids, facts.sources, strict=True):
        export = _export(paths, wanted, facts, source, id, now)
        exports.append(export)
        if facts.snapshot:
            steps += snapshot.serve(
                *(paths, facts.programs, export),
                *(facts.snapshot, source.image),
            )
        else:
            steps += daemon.serve(
                *(paths, facts.programs, export, source.image),
                bitmap=wanted.bitmap,
                scratch_bytes=wanted.scratch_bytes,
            )
    return Planned(tuple(steps), tuple(exports))


def _export(
    paths: InstancePaths,
    wanted: Wanted,
    facts: Facts,
    source: Source,
    id: str,
    now: datetime.datetime,
) -> Export:
    name = wanted.name or source.disk
    files: tuple[str, ...] = ()
    if wanted.kind == "scratch":
        files = (str(paths.scratch(id, "top")),)
    return Export(
        id=id,
        vm=paths.name,
        disk=source.disk,
        name=name,
        kind=wanted.kind,
        uri=unix_uri(paths.daemon_socket(id), name),
        size_bytes=source.image.virtual_size_bytes,
        created=now.isoformat(),
        server="daemon",
        files=files,
        snapshot=facts.snapshot.key if facts.snapshot else None,
    )
