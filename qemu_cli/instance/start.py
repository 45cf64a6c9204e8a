"""Starting an instance's QEMU."""

from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import NotFoundError, StateError
from qemu_cli.extensions import pick
from qemu_cli.instance import argv, binary, history, needs
from qemu_cli.instance.change import changing, run
from qemu_cli.instance.host import Host, pid_of, vm_facts
from qemu_cli.instance.model import Definition
from qemu_cli.instance.resolve import resolve
from qemu_cli.instance.vm import VM
from qemu_cli.paths import SOCKET_PATH_MAX, InstancePaths
from qemu_cli.steps import AnyStep, MakeDirectory, Plan, Spawn, WriteFile
from qemu_cli.storage import tools

#: A log that is larger than this at a start is put aside.
LOG_MAX_BYTES = 64 << 20


class Started(NamedTuple):
    """A VM that has just been started."""

    vm: VM
    definition: Definition


async def start(host: Host, vm: VM, *, paused: bool = False) -> Started:
    """Start a VM; returns when its monitor answers.

    :param paused: the guest's CPUs do not run yet
    :raise StateError: it runs already
    :raise NotFoundError: a file or QEMU itself is missing
    :raise RefusedError: QEMU ended; the message has its own words
    """
    paths = vm.paths
    async with changing(host, paths) as now:
        _check_startable(now)
        definition = now.definition
        plan = await plan_start(host, paths, definition, paused=paused)
        host.hooks.before_start(vm_facts(paths, definition))
        rotate(paths.serial_log)
        rotate(paths.qemu_log)
        await run(host, paths, plan)
        started = resolve(host.paths, paths.name, probe=host.probe)
        pid = pid_of(started)
        history.note(paths, "start", command=host.who, pid=pid)
    host.hooks.after_start(vm_facts(paths, definition, pid))
    return Started(started, definition)


async def plan_start(
    host: Host,
    paths: InstancePaths,
    definition: Definition,
    *,
    paused: bool = False,
) -> Plan:
    """Work out how a definition is started; changes nothing.

    :raise NotFoundError: a file or QEMU itself is missing
    """
    _check_files(paths, definition)
    profile = pick("qemu_cli.profiles", definition.profile)()
    qemu = binary.find(definition.arch, host.config)
    extra = host.hooks.add_arguments(vm_facts(paths, definition))
    words = argv.build(
        definition, profile, paths, binary=qemu, paused=paused, extra=extra
    )
    script = argv.script(
        argv.build(
            definition, profile, paths, binary=qemu, by_hand=True, extra=extra
        )
    )
    steps: list[AnyStep] = [
        MakeDirectory(str(paths.runtime.parent)),
        MakeDirectory(str(paths.runtime)),
    ]
    if _text(paths.command) != script:
        steps.append(
            WriteFile(
                str(paths.command), script, _text(paths.command), mode=0o755
            )
        )
    helpers: tuple[tuple[str, ...], ...] = ()
    if definition.tpm:
        helpers = (_swtpm(tools.find("swtpm", host.config), paths),)
    steps.append(Spawn(words, str(paths.events), helpers))
    return Plan(f"start {paths.name}", tuple(steps))


def _check_startable(vm: VM) -> None:
    if vm.alive:
        raise StateError(
            f"'{vm.name}' is {vm.state} already (pid {pid_of(vm)})"
        )
    if vm.state == "broken":
        raise StateError(f"'{vm.name}' is broken: {vm.reason}")
    longest = max(len(str(path)) for path in vm.paths.follower_sockets)
    if longest > SOCKET_PATH_MAX:
        raise StateError(
            f"the path of a socket would have {longest} bytes, and Linux "
            f"takes {SOCKET_PATH_MAX}: {vm.paths.runtime}",
            hint="set XDG_STATE_HOME or QEMU_CLI_HOME to a shorter path",
        )


def _check_files(paths: InstancePaths, definition: Definition) -> None:
    """Name a missing file before QEMU does it less clearly."""
    for what, name in needs.named(definition).items():
        file = paths.directory / name
        if not file.exists():
            raise NotFoundError(
                f"{what} of '{paths.name}' is missing: {file}",
                hint=f"put it back, or 'qemu edit {paths.name}'",
            )


def _swtpm(program: str, paths: InstancePaths) -> tuple[str, ...]:
    """The TPM's own process; it ends when QEMU does (swtpm(8))."""
    return (
        *(program, "socket", "--daemon", "--terminate", "--tpm2"),
        *("--tpmstate", f"dir={paths.tpm_state}"),
        *("--ctrl", f"type=unixio,path={paths.tpm_socket}"),
        *("--pid", f"file={paths.tpm_pid_file}"),
    )


def rotate(log: Path, *, limit_bytes: int = LOG_MAX_BYTES) -> None:
    """Put a large log aside; the one that was put aside before is gone."""
    try:
        if log.stat().st_size > limit_bytes:
            log.replace(log.with_suffix(log.suffix + ".1"))
    except FileNotFoundError:
        pass


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
