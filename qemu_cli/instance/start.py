"""Starting an instance's QEMU."""

from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from qemu_cli.emulator import binary
from qemu_cli.errors import (
    NotFoundError,
    RefusedError,
    StateError,
    TimedOutError,
)
from qemu_cli.extensions import pick
from qemu_cli.instance import argv, history, rotation
from qemu_cli.instance.change import changing, run
from qemu_cli.instance.exports import held
from qemu_cli.instance.host import Host, pid_of, vm_facts
from qemu_cli.instance.model import Definition
from qemu_cli.instance.resolve import resolve
from qemu_cli.instance.vm import VM
from qemu_cli.paths import SOCKET_PATH_MAX, InstancePaths
from qemu_cli.steps import AnyStep, MakeDirectory, Plan, Spawn, WriteFile
from qemu_cli.steps.block import Throttle
from qemu_cli.steps.cable import SetLinks
from qemu_cli.steps.ram import GoOn, LoadRam
from qemu_cli.storage import tools


class Started(NamedTuple):
    """A VM that has just been started.

    :param resumed: it went on from what was saved
    """

    vm: VM
    definition: Definition
    resumed: bool


async def start(
    host: Host, vm: VM, *, paused: bool = False, discard_saved: bool = False
) -> Started:
    """Start a VM; returns when its monitor answers.

    What ``save`` saved is gone on from.

    :param paused: the guest's CPUs do not run yet
    :param discard_saved: boot, and throw away what was saved
    :raise StateError: it runs already, its disks are exported, or what
        was saved does not fit
    :raise NotFoundError: a file or QEMU itself is missing
    :raise RefusedError: QEMU ended; the message has its own words
    :raise TimedOutError: QEMU did not answer, and is ended
    """
    paths = vm.paths
    async with changing(host, paths) as now:
        _check_startable(now)
        definition = now.definition
        with history.failure_noted(paths, "start", command=host.who):
            plan = await plan_start(
                host,
                paths,
                definition,
                paused=paused,
                discard_saved=discard_saved,
            )
            resumed = plan.commit is not None
            host.hooks.before_start(vm_facts(paths, definition))
            if discard_saved:
                _saved().discard(paths)
            rotation.at_start(host, paths)
            written = rotation.size(paths.serial_log)
            try:
                await run(host, paths, plan)
            except (RefusedError, TimedOutError):
                host.say(f"{paths.name}: the command was\n{_command(plan)}")
                raise
            started = resolve(host.paths, paths.name, probe=host.probe)
            if not started.alive:
                raise RefusedError(
                    f"QEMU of '{paths.name}' came up, and has ended already:"
                    f" {started.reason or started.state}"
                )
        pid = pid_of(started)
        history.note(
            paths,
            "start",
            command=host.who,
            pid=pid,
            resumed=resumed,
            serial_from=written,
        )
    host.hooks.after_start(vm_facts(paths, definition, pid))
    return Started(started, definition, resumed)


async def plan_start(
    host: Host,
    paths: InstancePaths,
    definition: Definition,
    *,
    paused: bool = False,
    discard_saved: bool = False,
) -> Plan:
    """Work out how a definition is started; changes nothing.

    :raise NotFoundError: a file or QEMU itself is missing
    :raise StateError: what was saved does not fit any more
    """
    # The host's settings served until now, if these make no sense.
    host.config.for_instance(definition.config, str(paths.definition))
    kept = None
    if paths.saved_facts.exists() and not discard_saved:
        kept = _saved().load(paths)
    _check_files(paths, definition)
    steps, spawn = launch(
        host,
        paths,
        definition,
        paused=paused or kept is not None,
        incoming=kept is not None,
    )
    if kept:
        await _saved().check(host, paths, kept, spawn.argv)
    steps.append(spawn)
    commit = None
    if kept:
        steps.append(LoadRam(str(paths.saved_ram)))
        commit = len(steps)
        # Those of a new QEMU are up, whatever they were when it was saved.
        steps += _links(definition)
        files = (str(paths.saved_facts), str(paths.saved_ram))
        steps.append(GoOn(kept.running and not paused, files))
    return Plan(f"start {paths.name}", tuple(steps), commit)


def launch(
    host: Host,
    paths: InstancePaths,
    definition: Definition,
    *,
    paused: bool = False,
    incoming: bool = False,
) -> tuple[list[AnyStep], Spawn]:
    """Work out what has to be there before QEMU runs, and how it is run.

    :param paused: the guest's CPUs do not run yet
    :param incoming: QEMU waits for a saved state
    :raise NotFoundError: QEMU itself or a helper is missing
    """
    profile = pick("qemu_cli.profiles", definition.profile)()
    qemu = binary.find(definition.arch, host.config)
    extra = host.hooks.add_arguments(vm_facts(paths, definition))
    words = argv.build(
        definition,
        profile,
        paths,
        binary=qemu,
        paused=paused,
        incoming=incoming,
        extra=extra,
    )
    by_hand = argv.build(
        definition, profile, paths, binary=qemu, by_hand=True, extra=extra
    )
    beside = InstancePaths(paths.directory, paths.directory)
    script = argv.script(by_hand, _helpers(host, beside, definition))
    steps: list[AnyStep] = [
        MakeDirectory(str(directory))
        for directory in (paths.runtime.parent, paths.runtime)
        if not directory.is_dir()
    ]
    if _text(paths.command) != script:
        steps.append(
            WriteFile(
                str(paths.command), script, _text(paths.command), mode=0o700
            )
        )
    helpers = _helpers(host, paths, definition)
    throttles = tuple(
        Throttle(disk.id, disk.throttle.limits, {})
        for disk in definition.disks
        if disk.throttle
    )
    return steps, Spawn(words, str(paths.events), helpers, throttles)


def _links(definition: Definition) -> list[AnyStep]:
    ids = tuple(nic.id for nic in definition.nics)
    return [SetLinks(ids)] if ids else []


def _saved() -> ModuleType:
    """Import what few starts need and what takes as long as QEMU does."""
    from qemu_cli.instance import saved

    return saved


def _check_startable(vm: VM) -> None:
    if vm.alive:
        raise StateError(
            f"'{vm.name}' is {vm.state} already (pid {pid_of(vm)})"
        )
    if vm.state == "broken":
        raise StateError(f"'{vm.name}' is broken: {vm.reason}")
    held.check_startable(vm.paths)
    longest = max(len(str(path)) for path in vm.paths.follower_sockets)
    if longest > SOCKET_PATH_MAX:
        raise StateError(
            f"the path of a socket would have {longest} bytes, and Linux "
            f"takes {SOCKET_PATH_MAX}: {vm.paths.runtime}",
            hint="set XDG_STATE_HOME or QEMU_CLI_HOME to a shorter path",
        )


def _check_files(paths: InstancePaths, definition: Definition) -> None:
    """Name a missing file before QEMU does it less clearly."""
    for what, name in definition.files.items():
        file = paths.directory / name
        if not file.exists():
            raise NotFoundError(
                f"{what} of '{paths.name}' is missing: {file}",
                hint=f"put it back, or 'qemu edit {paths.name}'",
            )
    for share in definition.shares:
        if not Path(share.directory).is_dir():
            raise NotFoundError(
                f"'{paths.name}' shares a directory that is not there: "
                f"{share.directory}",
                hint=f"put it back, or 'qemu share remove {paths.name} "
                f"{share.tag}'",
            )


def _helpers(
    host: Host, paths: InstancePaths, definition: Definition
) -> tuple[tuple[str, ...], ...]:
    """Programs that run beside QEMU; they put themselves in background.

    A TPM and a shared directory are processes of their own, which end when
    QEMU does.
    """
    found = []
    if definition.tpm:
        found.append(_swtpm(host, paths))
    if definition.shares_memory:
        from qemu_cli.instance.shares import virtiofsd

        program = virtiofsd.find(host.config)
        found += [
            virtiofsd.helper(program, share, paths)
            for share in definition.shares
            if share.driver == "virtiofs"
        ]
    return tuple(found)


def _swtpm(host: Host, paths: InstancePaths) -> tuple[str, ...]:
    """See swtpm(8)."""
    return (
        *(tools.find("swtpm", host.config), "socket"),
        *("--daemon", "--terminate", "--tpm2"),
        *("--tpmstate", f"dir={paths.tpm_state}"),
        *("--ctrl", f"type=unixio,path={paths.tpm_socket}"),
        *("--pid", f"file={paths.tpm_pid_file}"),
    )


def _command(plan: Plan) -> str:
    """The command line of QEMU in a plan, for people to read and paste."""
    for step in plan.steps:
        if isinstance(step, Spawn):
            return argv.pasteable(step.argv)
    return ""


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
