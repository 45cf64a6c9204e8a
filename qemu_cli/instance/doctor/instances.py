"""The VMs: broken definitions, lost sockets, what killed programs left."""

import fcntl
import os
import shlex
from pathlib import Path

from qemu_cli.errors import QemuCliError
from qemu_cli.instance import resolve
from qemu_cli.instance.doctor.check import Check, fail, ok, warn
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.instance.vm import names as vm_names
from qemu_cli.paths import InstancePaths
from qemu_cli.proc import ProcFS
from qemu_cli.qmp import lock
from qemu_cli.steps.runner import Journal


async def vms(host: Host) -> list[Check]:
    """Look at every instance; those that are well are counted only."""
    every = resolve.select(host.paths, (), probe=host.probe, every=True)
    found = [check for vm in every if (check := _vm(vm))]
    well = len(every) - len(found)
    return [*found, ok("VMs", f"{well} of {len(every)} are well")]


def _vm(vm: VM) -> Check | None:
    name = f"VM {vm.name}"
    if vm.reach == "gone" and vm.alive:
        return fail(
            name,
            f"QEMU runs (pid {_pid(vm)}), but somebody removed its sockets "
            f"in {vm.paths.runtime}: no command can reach it",
            "shut the guest down from within (ssh, for example); else "
            f"'qemu kill {vm.name}', a power cut; then 'qemu start "
            f"{vm.name}'",
        )
    if vm.reach == "stranger":
        return fail(
            name,
            f"QEMU runs (pid {_pid(vm)}), but {vm.reason} on its monitor",
            f"end that process, then 'qemu kill {vm.name}'",
        )
    if vm.reach == "stopped":
        return warn(name, vm.reason, f"'kill -CONT {_pid(vm)}' lets it go on")
    if vm.state == "unresponsive":
        return fail(name, vm.reason, f"'qemu kill {vm.name}' ends it")
    if vm.state == "crashed":
        return warn(
            name,
            f"crashed: {vm.reason}",
            f"'qemu log {vm.name} --qemu' may say why; 'qemu start "
            f"{vm.name}' starts it again",
        )
    if vm.alive and not vm.paths.directory.exists():
        return fail(
            name,
            f"QEMU runs (pid {_pid(vm)}), but its directory "
            f"{vm.paths.directory} was removed",
            f"save what you can from within the guest, then 'qemu kill "
            f"{vm.name}'",
        )
    try:
        _ = vm.definition
    except QemuCliError as error:
        fix = error.hint or f"'qemu edit {vm.name}' mends it"
        return fail(name, str(error), fix)
    return None


def _pid(vm: VM) -> int:
    assert vm.process is not None  # noqa: S101
    return vm.process.pid


async def leftovers(host: Host) -> list[Check]:
    """Sockets of VMs that are gone."""
    paths = host.paths
    known = {paths.instance(name).runtime for name in vm_names(paths)}
    directories = sorted(paths.runtime.glob("*/"))
    return [
        warn(
            "leftovers",
            f"{directory}: sockets of a VM that is gone",
            f"rm -r {shlex.quote(str(directory))}",
        )
        for directory in directories
        if directory not in known
    ] or [ok("leftovers", f"none in {paths.runtime}")]


async def changes(host: Host) -> list[Check]:
    """Changes that were interrupted."""
    found = []
    pending = host.paths.instance("x").journal.parent
    for path in sorted(pending.glob("*.jsonl")):
        paths = host.paths.instance(path.stem)
        if _is_held(paths.lock):
            continue  # it goes on
        found.append(_change(paths))
    return found or [ok("changes", "none was interrupted")]


def _change(paths: InstancePaths) -> Check:
    try:
        pending = Journal(paths.journal).read()
    except QemuCliError as error:
        return fail("changes", str(error), error.hint)
    title = pending.plan.title if pending else paths.name
    if pending and pending.detached:
        return warn(
            "changes",
            f"'{title}' was left to a job",
            f"'qemu job wait {paths.name}' waits for its end",
        )
    return warn(
        "changes",
        f"'{title}' was interrupted",
        f"nothing: the next command that changes '{paths.name}' finishes it "
        "or takes it back",
    )


async def locks(host: Host) -> list[Check]:
    """Commands that hold a lock and can't go on."""
    found = []
    procfs = ProcFS()
    directory = host.paths.instance("x").lock.parent
    for path in sorted(directory.glob("*.lock")):
        holder = lock.holder(str(path)) if _is_held(path) else None
        process = procfs.process(holder.pid) if holder else None
        if process and process.stopped:
            found.append(
                warn(
                    "locks",
                    f"{holder} holds '{path.stem}' and is stopped itself",
                    f"'kill -CONT {process.pid}' lets it go on, 'kill "
                    f"{process.pid}' ends it",
                )
            )
    return found or [ok("locks", "none is held by a stopped command")]


def _is_held(path: Path) -> bool:
    """Whether a living process has the lock; the file alone says nothing."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
