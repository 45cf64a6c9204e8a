"""Looking at VMs: which state each is in.

The state comes from three things: QEMU's pid file, which QEMU removes
when it ends in an orderly way; the process, which is ours only if its
command line names that pid file; and its monitor, whose other end must be
that process.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator

from qemu_cli.instance import recorder
from qemu_cli.instance.pid_file import read_pid
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths, Paths
from qemu_cli.proc import Process, ProcFS
from qemu_cli.qmp.probe import Answer, Target

#: QEMU's run states (QAPI RunState) in which the guest's CPUs are to run
#: again without anybody's doing.
_BUSY_RUN_STATES = frozenset(
    {"inmigrate", "finish-migrate", "restore-vm", "save-vm", "colo"}
)

#: Not compiled here: it is rarely needed, and costs `list` a percent.
_EMULATOR = r"qemu-system-.*|qemu-kvm|kvm"

Probe = Callable[[Iterable[Target]], list[Answer]]


def look(
    paths: Paths,
    wanted: Iterable[str | VM],
    procfs: ProcFS,
    probe: Probe,
) -> list[VM]:
    """Look at VMs: their files, processes and monitors.

    All monitors are asked at once, and none that is held by another
    client or whose process is stopped.

    :param wanted: names of instances that exist, and VMs that somebody
        else started, as ``discovery.strangers`` has them
    :param probe: asks monitors, as ``Sessions.probe`` does
    """
    vms: list[VM] = []
    asked: list[int] = []

    def targets() -> Iterator[Target]:
        # While we look at the next VM, this one's QEMU makes its answer.
        for index, each in enumerate(wanted):
            if isinstance(each, VM):
                vms.append(each)
                if target := _target(each):
                    asked.append(index)
                    yield target
                continue
            vm = _glance(paths.instance(each), procfs)
            if vm.process and vm.state != "unresponsive":
                monitor = _free_monitor(vm, procfs)
                if monitor:
                    asked.append(index)
                    yield Target(monitor, vm.process.pid)
                else:
                    all_held = "all its monitors are in use"
                    vm = _judge(vm, Answer("busy", detail=all_held))
            vms.append(vm)

    for index, answer in zip(asked, probe(targets()), strict=True):
        vms[index] = _judge(vms[index], answer)
    return vms


def _target(vm: VM) -> Target | None:
    """Whom to ask about a VM that somebody else started; None: nobody."""
    foreign = vm.foreign
    if not foreign or vm.reach != "free" or foreign.kind != "system":
        return None
    assert foreign.access.address  # noqa: S101
    return Target(foreign.access.address, vm.process and vm.process.pid)


def _glance(paths: InstancePaths, procfs: ProcFS) -> VM:
    """What files and /proc say, without talking."""
    pid, has_pid_file = read_pid(paths.pid_file)
    process = procfs.process(pid) if pid else None
    if process and str(paths.pid_file) not in process.argv:
        process = None  # the pid has been used again
    vm = VM(paths.name, paths, "running", process=process)
    if process is None:
        if not paths.definition.exists():
            return _without_definition(vm, procfs)
        if has_pid_file:
            return vm._replace(state="crashed", reason=_last_words(vm, procfs))
        if paths.saved_facts.exists():
            return vm._replace(state="stopped", reason="saved")
        return vm._replace(
            state="stopped", reason=recorder.last_cause(paths.events_out)
        )
    # Started by hand with command.sh, it has its sockets elsewhere.
    by_hand = InstancePaths(paths.directory, paths.directory)
    socket = str(by_hand.probe_socket).replace(",", ",,")
    if any(socket in word for word in process.argv):
        vm = vm._replace(paths=by_hand)
    if process.stopped:
        return vm._replace(
            state="unresponsive",
            reason="QEMU is stopped by a signal (SIGSTOP)",
            reach="stopped",
        )
    return vm


def _without_definition(vm: VM, procfs: ProcFS) -> VM:
    # A QEMU whose directory was removed lost its pid file with it.
    mine = str(vm.paths.pid_file)
    if vm.paths.probe_socket.exists():
        for process in procfs.processes(re.compile(_EMULATOR)):
            if mine in process.argv:
                return vm._replace(
                    process=process,
                    state="running",
                    reason="its directory is gone",
                )
    return vm._replace(
        state="broken", reason=f"{vm.paths.definition} is missing"
    )


def _last_words(vm: VM, procfs: ProcFS) -> str:
    try:
        started = vm.paths.pid_file.stat().st_mtime
    except OSError:
        return ""
    if started < procfs.boot_time_s():
        return "the host went down"
    return "QEMU was killed or died"


def _free_monitor(vm: VM, procfs: ProcFS) -> str | None:
    assert vm.process is not None  # noqa: S101
    address = str(vm.paths.probe_socket)
    if _is_free(address, vm.process, procfs):
        return address
    for follower in vm.paths.follower_sockets:
        if _is_free(str(follower), vm.process, procfs):
            return str(follower)
    return None


def _is_free(address: str, process: Process, procfs: ProcFS) -> bool:
    return procfs.monitor_use(process.pid, address) == (False, 0)


def _judge(vm: VM, answer: Answer) -> VM:
    vm = vm._replace(
        reach=answer.reach, version=answer.version, run_state=answer.run_state
    )
    if answer.reach == "free":
        return in_run_state(vm, answer.run_state or "")
    if vm.foreign:
        return _judge_stranger(vm, answer)
    # A stranger: whoever starts it listens until QEMU does.
    if answer.reach in ("stuck", "gone", "busy", "stranger"):
        change = _change_under_way(vm.paths)
        if change.startswith("start "):
            return vm._replace(state="starting", reason="not ready yet")
        if change and answer.reach != "gone":
            return vm._replace(state="busy", reason=change)
    if answer.reach == "busy":
        return vm._replace(state="busy", reason=answer.detail)
    reason = answer.detail
    if answer.reach == "gone":
        reason = "QEMU runs, but its sockets are gone"
    return vm._replace(state="unresponsive", reason=reason)


def in_run_state(vm: VM, run_state: str) -> VM:
    """Return the VM as it is when QEMU says this of itself."""
    vm = vm._replace(run_state=run_state)
    if run_state == "running":
        return vm
    if run_state in _BUSY_RUN_STATES:
        return vm._replace(state="busy", reason=run_state)
    # 'paused' says it all; 'prelaunch' or 'io-error' says more.
    reason = "" if run_state == "paused" else run_state
    return vm._replace(state="paused", reason=vm.reason or reason)


def _judge_stranger(vm: VM, answer: Answer) -> VM:
    """Say what it means that one whose monitor seemed free has not told."""
    if answer.reach in ("stranger", "denied"):
        return vm  # not QEMU's fault: it may run very well
    reason = answer.detail
    if answer.reach == "busy":
        # It has taken us, and nobody else is there.
        vm = vm._replace(reach="stuck")
        reason = "its monitor does not greet"
    return vm._replace(state="unresponsive", reason=reason)


def _change_under_way(paths: InstancePaths) -> str:
    """The title of the plan that is being done, or ``""``."""
    try:
        with paths.journal.open("rb") as stream:
            return str(json.loads(stream.readline())["title"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""
