"""Everything that is known about one VM, for ``qemu show``.

Each part is found out for itself: what can't be is None, and a sentence
in :attr:`Details.problems` or beside the part says why.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qemu_cli.emulator import abilities, binary
from qemu_cli.errors import QemuCliError
from qemu_cli.instance import facts, history
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.proc import ProcFS
from qemu_cli.qmp import lock
from qemu_cli.steps.runner import Journal
from qemu_cli.storage import images, tools

if TYPE_CHECKING:
    from qemu_cli.instance.model import Definition, Disk


class SocketUse(NamedTuple):
    """Who is at a socket that serves one client at a time.

    :param use: ``free``, ``held``, or ``gone`` when nobody listens
    :param waiting: clients in the queue
    :param pid: the client that is served, where we may see it
    :param command: its command line
    """

    name: str
    path: str
    use: str
    waiting: int = 0
    pid: int | None = None
    command: str | None = None


class DiskDetails(NamedTuple):
    """A disk and its image; ``problem`` says what is wrong with it."""

    id: str
    file: str
    format: str
    bus: str
    slot: str
    cache: str
    read_only: bool
    virtual_size_bytes: int | None = None
    actual_size_bytes: int | None = None
    backing_file: str | None = None
    problem: str | None = None


class ProcessDetails(NamedTuple):
    """QEMU's process."""

    pid: int
    uptime_s: float
    cpu_s: float
    rss_bytes: int


class Exit(NamedTuple):
    """How the last run ended; ``time`` is in seconds since 1970."""

    reason: str
    time: float


class Details(NamedTuple):
    """One VM; None where a part is unknown or does not apply.

    :param machine: of a running VM as it runs, else as it is defined
    :param next_machine: what it will be at the next start
    :param change: the change that goes on, or was interrupted
    """

    vm: VM
    definition: "Definition | None"
    machine: facts.Facts
    next_machine: facts.Facts
    process: ProcessDetails | None
    qemu_version: str | None
    qemu_binary: str | None
    monitors: tuple[SocketUse, ...]
    console: SocketUse | None
    disks: tuple[DiskDetails, ...]
    last_exit: Exit | None
    change: str | None
    files: dict[str, str]
    problems: tuple[str, ...]


async def details(host: Host, vm: VM) -> Details:
    """Find out everything; connects to nothing but a human monitor."""
    if vm.foreign:
        return await _of_stranger(host, vm)
    problems: list[str] = []
    definition = None
    try:
        definition = vm.definition
    except QemuCliError as error:
        problems.append(str(error))
        if vm.process is None:
            vm = vm._replace(state="broken", reason=str(error))
    else:
        try:
            host.config.for_instance(
                definition.config, str(vm.paths.definition)
            )
        except QemuCliError as error:
            problems.append(str(error))
    procfs = ProcFS()
    monitors: tuple[SocketUse, ...] = ()
    console = None
    if vm.process:
        paths = vm.paths
        sockets = (
            paths.control_socket,
            paths.probe_socket,
            *paths.follower_sockets,
        )
        monitors = tuple(_use(vm, path, procfs) for path in sockets)
        console = _use(vm, paths.serial_socket, procfs)
    defined = facts.Facts()
    if definition:
        defined = facts.from_definition(definition)
    program, version = await _qemu(host, vm, definition, problems)
    return Details(
        vm=vm,
        definition=definition,
        machine=facts.from_argv(vm.process.argv) if vm.process else defined,
        next_machine=defined,
        process=_process(vm, procfs),
        qemu_version=version,
        qemu_binary=program,
        monitors=monitors,
        console=console,
        disks=await _disks(host, vm, definition, problems),
        last_exit=last_exit(vm),
        change=_change(vm.paths, problems),
        files=_files(vm.paths, definition),
        problems=tuple(problems),
    )


async def _of_stranger(host: Host, vm: VM) -> Details:
    """What is known of a VM that somebody else started."""
    from qemu_cli.instance.discovery.human import asked

    assert vm.foreign is not None  # noqa: S101
    problems = [vm.foreign.access.reason] if vm.foreign.access.reason else []
    try:
        vm = await asked(host, vm)
    except QemuCliError as error:
        problems.append(str(error))
    assert vm.foreign is not None  # noqa: S101
    procfs = ProcFS()
    machine = facts.from_argv(vm.process.argv) if vm.process else facts.Facts()
    access, holder = vm.foreign.access, vm.foreign.holder
    monitor = SocketUse(
        access.bound or "QMP",
        access.address or "",
        access.word,
        pid=holder.pid if holder else None,
        command=" ".join(holder.argv) if holder else None,
    )
    return Details(
        vm=vm,
        definition=None,
        machine=machine,
        next_machine=facts.Facts(),
        process=_process(vm, procfs),
        qemu_version=".".join(map(str, vm.version)) if vm.version else None,
        qemu_binary=vm.process.argv[0] if vm.process else None,
        monitors=(monitor,),
        console=None,
        disks=(),
        last_exit=None,
        change=None,
        files={"history": str(vm.paths.history)} if vm.joined else {},
        problems=tuple(problems),
    )


def _process(vm: VM, procfs: ProcFS) -> ProcessDetails | None:
    if vm.process is None:
        return None
    try:
        return ProcessDetails(
            pid=vm.process.pid,
            uptime_s=procfs.uptime_s(vm.process),
            cpu_s=procfs.cpu_s(vm.process),
            rss_bytes=procfs.rss_bytes(vm.process),
        )
    except QemuCliError:
        return None  # it has just ended


def _use(vm: VM, path: Path, procfs: ProcFS) -> SocketUse:
    assert vm.process is not None  # noqa: S101
    name, address = path.stem, str(path)
    if not path.exists():
        return SocketUse(name, address, "gone")
    served, waiting = procfs.monitor_use(vm.process.pid, address)
    if not served:
        return SocketUse(name, address, "free", waiting)
    client = procfs.holder(address)
    if client is None:
        return SocketUse(name, address, "held", waiting)
    command = " ".join(client.argv)
    return SocketUse(name, address, "held", waiting, client.pid, command)


async def _qemu(
    host: Host,
    vm: VM,
    definition: "Definition | None",
    problems: list[str],
) -> tuple[str | None, str | None]:
    """QEMU's program and version: of the process, or of the next one."""
    if vm.process:
        version = ".".join(map(str, vm.version)) if vm.version else None
        return vm.process.argv[0], version
    if definition is None:
        return None, None
    try:
        program = binary.find(definition.arch, host.config)
        known = await abilities.load(program, host.paths)
    except QemuCliError as error:
        problems.append(str(error))
        return None, None
    return str(program), ".".join(map(str, known.version))


async def _disks(
    host: Host,
    vm: VM,
    definition: "Definition | None",
    problems: list[str],
) -> tuple[DiskDetails, ...]:
    if definition is None or not definition.disks:
        return ()
    tool: str | None = None
    try:
        tool = tools.find("qemu-img", host.config)
    except QemuCliError as error:
        problems.append(str(error))
    return tuple(
        await asyncio.gather(
            *(_disk(tool, vm.paths, disk) for disk in definition.disks)
        )
    )


async def _disk(
    tool: str | None, paths: InstancePaths, disk: "Disk"
) -> DiskDetails:
    file = paths.directory / disk.file
    plain = DiskDetails(
        id=disk.id,
        file=str(file),
        format=disk.format,
        bus=disk.bus,
        slot=disk.slot,
        cache=disk.cache,
        read_only=disk.read_only,
    )
    if not file.exists():
        return plain._replace(problem=f"{file} is missing")
    if tool is None:
        return plain
    try:
        image = await images.info(tool, file, format=disk.format)
    except QemuCliError as error:
        return plain._replace(problem=str(error))
    return plain._replace(
        virtual_size_bytes=image.virtual_size_bytes,
        actual_size_bytes=image.actual_size_bytes,
        backing_file=image.backing_file,
        problem=_image_problem(image),
    )


def _image_problem(image: images.ImageInfo) -> str | None:
    if image.backing_file and not Path(image.backing_file).exists():
        return f"its backing file {image.backing_file} is missing"
    if image.corrupt:
        return "it is marked as corrupt: see 'qemu-img check'"
    return None


def last_exit(vm: VM) -> Exit | None:
    """How the last run ended, also when nobody has written it down yet.

    :return: None while it runs, or if it never did
    """
    run = history.last_run(vm.paths)
    if run is None or vm.alive:
        return None
    if not run[1]:
        reason = history.exit_reason(vm.paths)
        return Exit(reason, history.exit_time(vm.paths))
    last = [
        entry
        for entry in history.entries(vm.paths.history)
        if entry["action"] == "exit"
    ][-1]
    return Exit(str(last.get("reason", "")), float(last.get("time", 0.0)))


def _change(paths: InstancePaths, problems: list[str]) -> str | None:
    try:
        found = Journal(paths.journal).read()
    except QemuCliError as error:
        problems.append(str(error))
        return None
    if found is None:
        return None
    title = found.plan.title
    if found.detached:
        return f"'{title}' goes on in the background"
    who = lock.holder(str(paths.lock))
    if who and ProcFS().process(who.pid):
        return f"'{title}' goes on: {who}"
    return f"'{title}' was interrupted; the next command clears it up"


def _files(
    paths: InstancePaths, definition: "Definition | None"
) -> dict[str, str]:
    """The files that there are, by what they are."""
    vars_ = definition.firmware.vars if definition else paths.nvram.name
    known = {
        "definition": paths.definition,
        "command": paths.command,
        "history": paths.history,
        "serial_log": paths.serial_log,
        "qemu_log": paths.qemu_log,
        "events": paths.events_out,
        "nvram": paths.directory / vars_,
        "snapshots": paths.snapshots,
        "saved_ram": paths.saved_ram,
        "tpm_state": paths.tpm_state,
        "vnc_socket": paths.vnc_socket,
    }
    return {name: str(path) for name, path in known.items() if path.exists()}
