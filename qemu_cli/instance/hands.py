"""The hands of plans: what their steps can do to one VM."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from qemu_cli import settings
from qemu_cli.errors import ConnectionLostError, TimedOutError
from qemu_cli.instance import process
from qemu_cli.instance.host import Host
from qemu_cli.instance.looking import look
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.proc import ProcFS
from qemu_cli.qmp.address import Monitors
from qemu_cli.steps import Spawn
from qemu_cli.steps.job import Job, OrderJob

#: How long QEMU may take to end when it is told to; it flushes its disks.
QUIT_TIMEOUT_S = 30.0


# What moves memory is imported when it is: it costs a start 30 ms.
class Hands:
    """What the steps of a plan can do to one VM.

    :param stranger: the VM, if somebody else started it
    """

    def __init__(
        self, host: Host, paths: InstancePaths, stranger: VM | None = None
    ) -> None:
        self._host = host
        self._paths = paths
        self._stranger = stranger

    def _look(self) -> VM:
        if self._stranger:
            return self._look_at(self._stranger)
        return look(
            self._host.paths, [self._paths.name], ProcFS(), self._host.probe
        )[0]

    def _look_at(self, stranger: VM) -> VM:
        """Look whether it is there; its one monitor is left alone."""
        from qemu_cli.instance.discovery.strangers import again

        ended = stranger._replace(
            state="stopped", process=None, run_state=None
        )
        if stranger.process is None:  # not here: only its monitor tells
            return look(
                self._host.paths, [stranger], ProcFS(), self._host.probe
            )[0]
        return again(self._host.paths, ProcFS(), stranger) or ended

    async def runs(self) -> bool:
        """Tell whether there is a QEMU process."""
        return self._look().alive

    async def execute(self, command: str, arguments: dict[str, Any]) -> Any:
        """Send a QMP command to the VM's control monitor."""
        monitors = self._look().monitors
        async with self._host.sessions.open(monitors) as session:
            return await session.execute(command, arguments)

    async def unplug(self, device: str, timeout_s: float) -> None:
        """Ask the guest to let go of a device, and wait until it has."""
        from qemu_cli.qmp import devices

        async with self._host.sessions.open(self._look().monitors) as session:
            await devices.unplug(session, device, timeout_s)

    async def tell(
        self, address: str, pid: int, command: str, arguments: dict[str, Any]
    ) -> Any:
        """Send a QMP command to a daemon that serves images."""
        monitors = Monitors(control=address, pid=pid)
        async with self._host.sessions.open(monitors) as session:
            return await session.execute(command, arguments)

    async def quit(self) -> None:
        """End QEMU, if it runs, and wait until it has."""
        found = self._look()
        if found.process is None:
            return
        pidfd = ProcFS().open_pidfd(found.process)
        try:
            await self._quit(found, pidfd)
        finally:
            os.close(pidfd)

    async def _quit(self, found: VM, pidfd: int) -> None:
        with suppress(ConnectionLostError):
            async with self._host.sessions.open(found.monitors) as session:
                await session.execute("quit")
        if not await process.gone(pidfd, QUIT_TIMEOUT_S):
            raise TimedOutError(
                f"QEMU of '{found.name}' did not end in {QUIT_TIMEOUT_S:g} s",
                hint=f"the next command on '{found.name}' goes on from here",
            )

    async def kill(self) -> None:
        """End QEMU at once, if it runs (SIGKILL)."""
        await process.end(self._paths)

    async def save_ram(self, file: str) -> None:
        """Write the state of a paused VM to a file."""
        from qemu_cli.instance import ram

        with self._host.progress(f"saving {self._paths.name}", "B") as tell:
            await ram.save(self._host, self._look(), Path(file), tell)

    async def drop_ram(self, file: str) -> None:
        """Stop writing it, and remove the file."""
        from qemu_cli.instance import ram

        await ram.drop(self._host, self._look(), Path(file))

    async def load_ram(self, file: str) -> None:
        """Have a QEMU that waits for a state read it from a file."""
        from qemu_cli.instance import ram

        await ram.load(self._host, self._look(), Path(file))

    async def start_job(self, step: Job) -> None:
        """Start a job, if there is none of its id."""
        from qemu_cli.qmp import jobs

        async with self._host.sessions.open(self._look().monitors) as session:
            if await jobs.find_job(session, step.job_id) is None:
                await jobs.start_job(
                    session, step.command, step.job_id, step.arguments
                )

    async def run_job(self, step: Job) -> None:
        """Start a job and wait until it is where the step wants it."""
        from qemu_cli.qmp import jobs

        what = f"{self._paths.name}: {step.job_id}"  # as job list says
        with self._host.progress(what, "B") as tell:

            def progress(seen: jobs.Progress) -> None:
                tell(seen.current, seen.total)

            monitors = self._look().monitors
            async with self._host.sessions.open(monitors) as session:
                if await jobs.find_job(session, step.job_id):
                    await jobs.await_job(
                        session, step.job_id, step.until, progress=progress
                    )
                else:
                    await session.run_job(
                        step.command,
                        {**step.arguments, "job-id": step.job_id},
                        progress=progress,
                        until=step.until,  # type: ignore[arg-type]
                    )

    async def order_job(self, step: OrderJob) -> None:
        """Give a job an order, and wait in the same way."""
        from qemu_cli.qmp import jobs

        found = self._look()
        ends = step.until == "concluded"
        if ends and not found.alive:
            return
        async with self._host.sessions.open(found.monitors) as session:
            job = await jobs.find_job(session, step.job_id)
            if job is None and ends:
                return
            if job and jobs.has_reached(job["status"], step.until):
                if ends:
                    await jobs.await_job(session, step.job_id, step.until)
                return
            await jobs.order_job(
                session,
                step.command,
                step.job_id,
                until=step.until,  # type: ignore[arg-type]
            )

    async def cancel_job(self, job_id: str) -> None:
        """Cancel and dismiss a job, if there is one of this id."""
        from qemu_cli.qmp import jobs

        async with self._host.sessions.open(self._look().monitors) as session:
            await jobs.cancel_job(session, job_id)

    async def job_goes_on(self, step: Job) -> bool:
        """Tell whether a job is not yet where the step wants it."""
        from qemu_cli.qmp import jobs

        found = self._look()
        if not found.alive:
            return False
        async with self._host.sessions.open(found.monitors) as session:
            job = await jobs.find_job(session, step.job_id)
        return job is not None and not jobs.has_reached(
            job["status"], step.until
        )

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
        # Ready, or so much so that others talk to it already.
        return self._look().reach in ("free", "busy")
