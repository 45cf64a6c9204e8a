"""Changing an instance: one at a time, and after a look at the wreckage.

Whoever changes an instance holds its lock.  The first thing then is to
finish or take back what a killed program left half done, and to write
down how the last run ended if nobody did so yet.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from qemu_cli import settings
from qemu_cli.errors import StateError
from qemu_cli.instance import history, process, vm
from qemu_cli.instance.host import Host, vm_facts
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.proc import ProcFS
from qemu_cli.qmp import lock
from qemu_cli.steps import Journal, Plan, Runner, Spawn


@asynccontextmanager
async def changing(host: Host, paths: InstancePaths) -> AsyncIterator[VM]:
    """Hold the instance's lock; yields the VM as it is under the lock.

    :raise BusyError: another command holds it for too long
    :raise StateError: the instance is gone
    """
    async with claimed(host, paths):
        if not paths.directory.is_dir():
            raise StateError(f"the instance '{paths.name}' is gone")
        found = vm.look(host.paths, [paths.name], ProcFS(), host.probe)[0]
        if not found.alive:
            settle(host, paths)
        yield found


@asynccontextmanager
async def claimed(host: Host, paths: InstancePaths) -> AsyncIterator[None]:
    """Hold the lock of a name, whether there is an instance or not.

    :raise BusyError: another command holds it for too long
    """
    paths.lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    wait_s = host.config[settings.LOCK_TIMEOUT]
    deadline = asyncio.get_running_loop().time() + wait_s
    async with lock.locked(
        str(paths.lock), host.who, deadline, what=f"'{paths.name}'"
    ):
        done = await runner(host, paths).recover()
        if done:
            host.say(f"{paths.name}: {done}")
        yield


def runner(host: Host, paths: InstancePaths) -> Runner:
    """Return what does plans on this instance."""
    return Runner(Journal(paths.journal), Hands(host, paths))


async def run(host: Host, paths: InstancePaths, plan: Plan) -> None:
    """Do a plan under the lock that the caller holds.

    :raise QemuCliError: what the failing step raised; all is undone
    """
    await runner(host, paths).run(plan)


def settle(host: Host, paths: InstancePaths) -> None:
    """Write down how the last run ended, and tell the plug-ins, once."""
    run = history.last_run(paths)
    if run is None or run[1]:
        return
    reason = history.exit_reason(paths)
    history.note(paths, "exit", command=host.who, reason=reason)
    try:
        definition = vm.VM(paths.name, paths, "stopped").definition
    except Exception:  # noqa: BLE001  a broken definition has no plug-ins
        return
    host.hooks.after_exit(vm_facts(paths, definition), reason)


class Hands:
    """What the steps of a plan can do to one VM."""

    def __init__(self, host: Host, paths: InstancePaths) -> None:
        self._host = host
        self._paths = paths

    async def execute(self, command: str, arguments: dict[str, Any]) -> Any:
        """Send a QMP command to the VM's control monitor."""
        found = vm.look(
            self._host.paths, [self._paths.name], ProcFS(), self._host.probe
        )[0]
        async with self._host.sessions.open(found.monitors) as session:
            return await session.execute(command, arguments)

    async def spawn(self, step: Spawn) -> None:
        """Start QEMU and wait until its monitor is ready."""
        await process.spawn(
            self._paths,
            step,
            timeout_s=self._host.config[settings.START_TIMEOUT],
        )

    async def unspawn(self, step: Spawn) -> None:
        """End the QEMU that :meth:`spawn` started, if it runs."""
        await process.end(self._paths)

    async def came_up(self, step: Spawn) -> bool:
        """Tell whether a QEMU that a killed program started is ready."""
        found = vm.look(
            self._host.paths, [self._paths.name], ProcFS(), self._host.probe
        )[0]
        return found.reach == "free"
