"""Disks of a VM that does not run, each served by a daemon of its own.

The daemon, a qemu-storage-daemon, has the image open as QEMU would: while
it serves, nobody else can write there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import NotFoundError, StateError, UsageError
from qemu_cli.instance import needs, process, saved
from qemu_cli.instance.exports.model import Export, Wanted
from qemu_cli.instance.exports.point_in_time import CLUSTER, SCRATCH_MIN
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Disk
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.proc import Process, ProcFS
from qemu_cli.steps import AnyStep, Remove, Tool, run_tool
from qemu_cli.steps.daemon import Daemon, EndDaemon
from qemu_cli.storage import (
    dependants,
    holders,
    images,
    qemu_img,
    storage_daemon,
    tools,
)
from qemu_cli.storage.images import ImageInfo
from qemu_cli.storage.storage_daemon import Served
from qemu_cli.units import format_size


class Programs(NamedTuple):
    """The programs that the steps run."""

    qemu_img: str
    qemu_nbd: str
    daemon: str


def programs(host: Host) -> Programs:
    """Find the programs.

    :raise NotFoundError: one is not installed
    """
    return Programs(
        qemu_img=tools.find("qemu-img", host.config),
        qemu_nbd=tools.find("qemu-nbd", host.config),
        daemon=tools.find("qemu-storage-daemon", host.config),
    )


async def layer(host: Host, vm: VM, disk: Disk, wanted: Wanted) -> ImageInfo:
    """Find the image that is to be served, and see that it can be.

    :param vm: it does not run
    :raise NotFoundError: it is not there, or has no such bitmap
    :raise StateError: somebody depends on what would be written
    :raise BusyError: another program writes to it
    """
    file = vm.paths.directory / disk.file
    tool = tools.find("qemu-img", host.config)
    await needs.check_there(tool, vm.name, disk.id, file, disk.format)
    chain = await images.chain(tool, file, format=disk.format)
    found = chain[0]
    if wanted.kind == "backing":
        found = backing(vm, disk, chain, wanted.depth)
    if wanted.kind == "writable":
        await check_writable(host, vm, disk)
        check_not_open(Path(found.path))
    await check_unlocked(tool, found)
    if wanted.kind == "scratch":
        check_scratch(wanted.scratch_bytes)
    if wanted.bitmap is not None:
        check_bitmap(found, disk, wanted.bitmap)
    return found


def backing(
    vm: VM, disk: Disk, chain: Sequence[ImageInfo], depth: int
) -> ImageInfo:
    """Pick a layer below the active one.

    :raise NotFoundError: the chain is not that long
    :raise StateError: that one is served already, elsewhere
    """
    if depth < len(chain):
        found = chain[depth]
        if not dependants.local_files(found.path, Path("/")):
            raise StateError(f"{found.path} is no file of this host")
        return found
    below = len(chain) - 1
    has = "has no backing file"
    if below:
        has = f"has only {below} backing file{'s' * (below > 1)}"
    raise NotFoundError(
        f"{disk.id} of '{vm.name}' {has}",
        hint=f"'qemu disk list {vm.name}' shows the chain",
    )


async def check_writable(host: Host, vm: VM, disk: Disk) -> None:
    """See that nobody loses by writes to a disk.

    :raise StateError: somebody would
    """
    if disk.read_only:
        raise StateError(
            f"{disk.id} of '{vm.name}' is read-only for its guest, too",
            hint="--scratch takes writes, and throws them away",
        )
    if saved.exists(vm.paths):
        raise StateError(
            f"'{vm.name}' has a saved state, which goes with its disks as "
            "they are now",
            hint="start it and shut it down first, or --scratch",
        )
    tool = tools.find("qemu-img", host.config)
    file = vm.paths.directory / disk.file
    chains = await needs.everyone(host, tool)
    chains[vm.name] = [
        each.file for each in await needs.references(vm.paths, tool)
    ]
    users = dependants.users_of(file, chains)
    if users:
        named = ", ".join(f"'{name}'" for name in users)
        raise StateError(
            f"{disk.file} of '{vm.name}' must not be written: disks of "
            f"{named} stand on it",
            hint="--scratch takes writes, and throws them away",
        )


async def check_unlocked(tool: str, image: ImageInfo) -> None:
    """See that an image can be read: nobody writes to it.

    QEMU may have it open for writing, as the layer below a snapshot that
    was just taken, and not write: only the lock tells.

    :raise BusyError: somebody has the lock
    """
    file = Path(image.path)
    with holders.naming(file):
        await run_tool(
            (tool, "info", "-f", image.format, qemu_img.file_name(file))
        )


def check_not_open(file: Path) -> None:
    """See that an image can be written: nobody has it open.

    :raise BusyError: somebody has
    """
    others = holders.holders(file)
    if others:
        raise holders.busy(file, others)


def check_scratch(size_bytes: int | None) -> None:
    """See that a scratch file of this size is of any use.

    :raise UsageError: it has no room even for its own tables
    """
    if size_bytes is not None and size_bytes < SCRATCH_MIN:
        raise UsageError(
            f"--scratch-size: {format_size(SCRATCH_MIN)} is the least"
        )


def check_bitmap(image: ImageInfo, disk: Disk, name: str) -> None:
    """See that an image has a bitmap that clients can be told.

    :raise NotFoundError: it has none of that name
    :raise StateError: it is worthless
    """
    for bitmap in image.bitmaps:
        if bitmap.name == name:
            if bitmap.in_use:
                raise StateError(
                    f"the bitmap '{name}' of {disk.id} is worthless: its "
                    "QEMU was killed, and what it had noted is lost"
                )
            return
    known = ", ".join(each.name for each in image.bitmaps) or "none"
    raise NotFoundError(
        f"{disk.id} has no bitmap '{name}'", hint=f"it has: {known}"
    )


def serve(
    paths: InstancePaths,
    programs: Programs,
    export: Export,
    image: ImageInfo,
    *,
    bitmap: str | None = None,
    scratch_bytes: int | None = None,
) -> tuple[AnyStep, ...]:
    """The steps that serve an image.  Pure.

    :param export: its record; ``files`` has the overlay of a ``scratch``
    :param scratch_bytes: the most that this one may take; None: what is
        free, and then a client's write fails
    """
    before: list[AnyStep] = []
    if scratch_bytes is not None:
        scratch_bytes -= scratch_bytes % CLUSTER
    file, image_format = Path(image.path), image.format
    for overlay in export.files:
        argv = qemu_img.create_overlay_argv(
            programs.qemu_img, overlay, file, image_format
        )
        before.append(Tool(argv, creates=overlay))
        if scratch_bytes is not None:
            size = str(scratch_bytes)
            before.append(Tool(("truncate", "--size", size, "--", overlay)))
        file, image_format = Path(overlay), "qcow2"
    node = storage_daemon.image_node(
        *(file, image_format),
        writable=export.writable,
        limit_bytes=scratch_bytes if export.files else None,
    )
    served = Served(export.id, export.name, node, export.writable, bitmap)
    socket = paths.daemon_socket(export.id)
    pid_file = paths.daemon_pid_file(export.id)
    argv = storage_daemon.argv(
        programs.daemon,
        [served],
        storage_daemon.unix_server(socket),
        pid_file=pid_file,
    )
    return (*before, Daemon(argv, str(pid_file), (str(socket),)))


def end(paths: InstancePaths, export: Export) -> tuple[AnyStep, ...]:
    """The steps that take down what :func:`serve` set up.  Pure."""
    pid_file = str(paths.daemon_pid_file(export.id))
    return (
        EndDaemon(pid_file, (str(paths.daemon_socket(export.id)),)),
        *map(Remove, export.files),
    )


def alive(paths: InstancePaths, export: Export) -> Process | None:
    """The daemon that serves an export, if it does."""
    return process.running(paths.daemon_pid_file(export.id))


def died(paths: InstancePaths, export: Export) -> bool:
    """Whether an export has lost a daemon that it needs."""
    needed = [export.listener] if export.listener else []
    if export.server == "daemon":
        needed.append(export.id)
    return not all(
        process.running(paths.daemon_pid_file(each)) for each in needed
    )


def has_client(paths: InstancePaths, export: Export) -> bool:
    """Whether somebody reads an export just now."""
    found = alive(paths, export)
    if found is None:
        return False
    socket = str(paths.daemon_socket(export.id))
    served, waiting = ProcFS().monitor_use(found.pid, socket)
    return served or waiting > 0
