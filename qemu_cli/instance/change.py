"""Changing an instance: one at a time, and after a look at the wreckage.

Whoever changes an instance holds its lock.  The first thing then is to
finish or take back what a killed program left half done, and to write
down how the last run ended if nobody did so yet.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from qemu_cli import settings
from qemu_cli.errors import (
    BusyError,
    QemuCliError,
    StateError,
)
from qemu_cli.instance import history, rotation
from qemu_cli.instance.exports import records
from qemu_cli.instance.hands import Hands
from qemu_cli.instance.host import Host, known_facts
from qemu_cli.instance.looking import look
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.proc import ProcFS
from qemu_cli.qmp import lock
from qemu_cli.steps import Plan
from qemu_cli.steps.runner import Journal, Runner


@asynccontextmanager
async def changing(
    host: Host, paths: InstancePaths, *others: InstancePaths
) -> AsyncIterator[VM]:
    """Hold the instance's lock; yields the VM as it is under the lock.

    :param others: names to lock as well
    :raise BusyError: another command holds it for too long
    :raise StateError: the instance is gone
    """
    async with claimed(host, paths, *others):
        if not paths.directory.is_dir():
            raise StateError(f"the instance '{paths.name}' is gone")
        found = look(host.paths, [paths.name], ProcFS(), host.probe)[0]
        if found.alive:
            rotation.while_running(host, paths)
        else:
            settle(host, paths)
            await _tidy_exports(host, found)
        yield found


async def _tidy_exports(host: Host, found: VM) -> None:
    """Remove what killed daemons left that served a stopped VM's disks."""
    if records.read(found.paths):
        from qemu_cli.instance.exports import stop  # it uses this module

        await stop.tidy(host, found)


@asynccontextmanager
async def attending(host: Host, now: VM) -> AsyncIterator[VM]:
    """Do something to a VM's run, whoever started it; yields it as it is.

    An instance is locked, as in :func:`changing`.  Of another's VM our
    own commands are kept apart in the same way.

    :raise BusyError: another command of ours is at it for too long
    :raise StateError: it is gone
    """
    if not now.foreign:
        async with changing(host, now.paths) as found:
            yield found
        return
    from qemu_cli.instance.discovery.human import asked
    from qemu_cli.instance.discovery.strangers import again

    path = now.paths.lock
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    wait_s = host.config[settings.LOCK_TIMEOUT]
    deadline = asyncio.get_running_loop().time() + wait_s
    what = f"'{now.name}'"
    async with lock.locked(str(path), host.who, deadline, what=what):
        done = await runner(host, now.paths, now).recover()
        if done:
            host.say(f"{now.name}: {done}")
        procfs = ProcFS()
        known = again(host.paths, procfs, now)
        if known is None:
            raise StateError(f"'{now.name}' has ended")
        found = look(host.paths, [known], procfs, host.probe)[0]
        yield await asked(host, found)


@asynccontextmanager
async def claimed(
    host: Host, *instances: InstancePaths
) -> AsyncIterator[None]:
    """Hold the locks of names, whether there are instances or not.

    What a killed program left half done to one of them is finished or
    taken back first, and so is what it left of names that are gone.

    :raise BusyError: another command holds one of them for too long
    """
    names = {paths.name for paths in instances}
    async with _held(host, names, host.config[settings.LOCK_TIMEOUT]):
        for name in _orphans(host) - names:
            try:
                async with _held(host, {name}, 0.0):
                    pass
            except BusyError:
                pass  # somebody is at it
            except QemuCliError as error:
                host.warn(f"{name}: {error}")  # no reason to stop here
        yield


@asynccontextmanager
async def _held(
    host: Host, names: set[str], wait_s: float
) -> AsyncIterator[None]:
    """Lock names, and all that interrupted plans on them touch; repair."""
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        locked = names | _touched(host, names)
        async with AsyncExitStack() as stack:
            for name in sorted(locked):  # one order: nobody waits in a ring
                path = host.paths.instance(name).lock
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                await stack.enter_async_context(
                    lock.locked(
                        str(path), host.who, deadline, what=f"'{name}'"
                    )
                )
            touched = _touched(host, names)
            if touched <= locked:
                for owner in sorted({_owner(host, name) for name in touched}):
                    done = await runner(
                        host, host.paths.instance(owner)
                    ).recover()
                    if done:
                        host.say(f"{owner}: {done}")
                yield
                return
        # Somebody was killed while we waited: lock what that touched too.


def _touched(host: Host, names: Iterable[str]) -> set[str]:
    """All names that the interrupted plans on these names touch."""
    touched: set[str] = set()
    for name in names:
        journal = Journal(host.paths.instance(name).journal)
        found = journal.read()
        if found:
            touched |= {journal.owner, *found.plan.also}
    return touched


def _owner(host: Host, name: str) -> str:
    """The name that has the journal of an interrupted plan."""
    return Journal(host.paths.instance(name).journal).owner


def _orphans(host: Host) -> set[str]:
    """Names with an interrupted plan whose instance is gone."""
    pending = host.paths.pending
    return {
        path.stem
        for path in pending.glob("*.jsonl")
        if not (host.paths.instances / path.stem).exists()
    }


def runner(
    host: Host, paths: InstancePaths, stranger: VM | None = None
) -> Runner:
    """Return what does plans on this instance, or on another's VM."""
    return Runner(Journal(paths.journal), Hands(host, paths, stranger))


async def run(
    host: Host, paths: InstancePaths, plan: Plan, *, detach: bool = False
) -> None:
    """Do a plan under the lock that the caller holds.

    :param detach: leave as soon as a job runs; see ``Runner.run``
    :raise QemuCliError: what the failing step raised; all is undone
    """
    await runner(host, paths).run(plan, detach=detach)


async def run_on(host: Host, now: VM, plan: Plan) -> None:
    """Do a plan on a VM, whoever started it, under :func:`attending`.

    :raise QemuCliError: what the failing step raised; all is undone
    """
    stranger = now if now.foreign else None
    await runner(host, now.paths, stranger).run(plan)


def settle(
    host: Host, paths: InstancePaths, *, command: str | None = None
) -> None:
    """Write down how the last run ended, and tell the plug-ins, once.

    :param command: what ended it; None: nobody knows, it is seen only now
    """
    if paths.exports.is_dir():
        records.forget_run(paths)
    run = history.last_run(paths)
    if run is None or run[1]:
        return
    reason = history.exit_reason(paths)
    history.note(
        paths,
        "exit",
        command=command,
        at=history.exit_time(paths),
        reason=reason,
    )
    facts = known_facts(VM(paths.name, paths, "stopped"))
    if facts:
        host.hooks.after_exit(facts, reason)
