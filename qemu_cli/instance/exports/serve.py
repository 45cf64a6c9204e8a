"""Serving disks of a VM, running or not, and holding it if asked to."""

import asyncio
import datetime
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from itertools import islice
from typing import NamedTuple

from qemu_cli.errors import NotFoundError, QemuCliError
from qemu_cli.guardian import guarding
from qemu_cli.instance import change, history, process
from qemu_cli.instance.exports import (
    check,
    daemon,
    listen,
    outside,
    plan,
    publish,
    records,
    running,
    stop,
)
from qemu_cli.instance.exports.model import Export, Wanted
from qemu_cli.instance.exports.plan import Planned
from qemu_cli.instance.host import Host
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.quiesce import quiesced
from qemu_cli.instance.vm import VM
from qemu_cli.proc import Process, ProcFS
from qemu_cli.steps import MakeDirectory, Plan
from qemu_cli.storage import tools

#: How often it is looked whether another command has taken it down.
_LOOK_S = 0.5


class Serving(NamedTuple):
    """What is going to be served, how, and what to say of it."""

    plan: Plan
    exports: tuple[Export, ...]
    notes: tuple[str, ...]


async def serve(
    host: Host,
    vm: VM,
    wanted: Wanted,
    tell: Callable[[Sequence[Export]], object],
    *,
    foreground: bool = False,
) -> None:
    """Serve disks of a VM.

    A guardian takes everything down when we are killed on the way, or
    while we hold it in the foreground.

    :param tell: gets what is served, as soon as it is
    :param foreground: until the task is cancelled, and not longer
    :raise StateError: it can't be served in this way
    :raise NotFoundError: there is no such disk, layer or snapshot
    """
    async with AsyncExitStack() as stack:
        async with change.attending(host, vm) as now:
            await stop.tidy(host, now)
            serving = await plan_serve(host, now, wanted)
            guardian = stack.enter_context(
                guarding(
                    [
                        *("export", "stop", vm.reference, "--hard"),
                        *(export.id for export in serving.exports),
                    ]
                )
            )
            stack.callback(guardian.disarm)
            guardian.arm()
            for note in serving.notes:
                host.say(f"{vm.name}: {note}")
            await _run(host, now, wanted, serving.plan)
            history.note(
                vm.paths,
                "nbd-export",
                command=host.who,
                exports=[export.name for export in serving.exports],
            )
        tell(serving.exports)
        if foreground:
            await _hold(host, vm, serving.exports)


async def plan_serve(host: Host, vm: VM, wanted: Wanted) -> Serving:
    """Work out how disks are served; changes nothing.

    :raise UsageError: what is wanted makes no sense
    """
    check.check_sense(vm, wanted)
    listener = listen.wish(wanted)
    paths = vm.paths
    known = records.read(paths)
    taken = {id for each in known for id in (each.id, each.listener) if id}
    if outside.concerns(vm, wanted):
        planned = await _by_daemons(host, vm, wanted, known, taken)
    else:
        planned = await _by_qemu(host, vm, wanted, known, taken)
    if listener:
        taken |= {export.id for export in planned.exports}
        id = next(records.new_ids(taken))
        program = tools.find("qemu-storage-daemon", host.config)
        planned = publish.publish(paths, program, id, listener, planned)
    steps = (
        *(
            MakeDirectory(str(directory))
            for directory in (paths.runtime.parent, paths.runtime)
            if not directory.is_dir()
        ),
        MakeDirectory(str(paths.exports)),
        *planned.steps,
        *records.write(paths, planned.exports),
    )
    todo = Plan(f"nbd-export {vm.name}", steps)
    return Serving(todo, planned.exports, planned.notes)


async def _by_qemu(
    host: Host,
    vm: VM,
    wanted: Wanted,
    known: Sequence[Export],
    taken: Collection[str],
) -> Planned:
    check_answers(vm)
    facts = await running.look(host, vm, wanted)
    # What is buried below another filter has a record, and no name.
    named = [e for e in known if e.server == "daemon" or e.id in facts.taken]
    check.check_names(vm, wanted, named, [disk.id for disk in facts.disks])
    ids = records.new_ids({*taken, *facts.taken})
    now = datetime.datetime.now(datetime.UTC)
    own = list(islice(ids, len(facts.disks)))
    return plan.plan(vm.paths, wanted, facts, own, now)


async def _by_daemons(
    host: Host,
    vm: VM,
    wanted: Wanted,
    known: Sequence[Export],
    taken: Collection[str],
) -> Planned:
    facts = await outside.gather(host, vm, wanted, known)
    disks = [source.disk for source in facts.sources]
    check.check_names(vm, wanted, known, disks)
    own = tuple(islice(records.new_ids(taken), len(disks)))
    now = datetime.datetime.now(datetime.UTC)
    return outside.plan(vm.paths, wanted, facts, own, now)


async def _run(host: Host, vm: VM, wanted: Wanted, todo: Plan) -> None:
    async with AsyncExitStack() as stack:
        if wanted.quiesce and vm.alive:
            count = await stack.enter_async_context(quiesced(host, vm))
            frozen = "file system is" if count == 1 else "file systems are"
            host.say(f"{vm.name}: {count or 'no'} {frozen} frozen")
        await change.run_on(host, vm, todo)


async def _hold(host: Host, vm: VM, exports: Sequence[Export]) -> None:
    """Wait until we are told to end, or there is nothing to hold."""
    ids = [export.id for export in exports]
    try:
        with ExitStack() as stack:
            pidfds = []
            for server in _servers(vm, exports):
                pidfds.append(ProcFS().open_pidfd(server))
                stack.callback(os.close, pidfds[-1])
            while all(records.file_of(vm.paths, e).exists() for e in exports):
                for pidfd in pidfds:
                    if await process.gone(pidfd, _LOOK_S / len(pidfds)):
                        raise QemuCliError(
                            f"what served '{vm.name}' has ended, and the "
                            "exports with it",
                            hint=f"'qemu log {vm.name}' tells more",
                        )
    except asyncio.CancelledError:
        host.say(f"{vm.name}: taking the exports down")
    finally:
        with suppress(NotFoundError):  # another command has
            await asyncio.shield(stop.stop(host, vm, ids, hard=True))


def _servers(vm: VM, exports: Sequence[Export]) -> list[Process]:
    """The processes without which there is nothing to hold."""
    if any(export.server == "qemu" for export in exports):
        assert vm.process is not None  # noqa: S101
        return [vm.process]
    found = (daemon.alive(vm.paths, export) for export in exports)
    return [process for process in found if process]
