"""Waiting for jobs, and finishing what was left to them."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from qemu_cli.errors import (
    ConnectionLostError,
    TimedOutError,
)
from qemu_cli.instance.change import changing
from qemu_cli.instance.host import Host
from qemu_cli.instance.jobs import state
from qemu_cli.instance.jobs.listing import pick
from qemu_cli.instance.jobs.plans import going_on, job_step
from qemu_cli.instance.jobs.state import Job
from qemu_cli.instance.vm import VM
from qemu_cli.qmp.connect import check_running
from qemu_cli.qmp.jobs import JobError, has_reached
from qemu_cli.steps.runner import Pending

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Listener

_LOOK_S = 0.5
_ANSWER_S = 5.0
#: Backups pause themselves for moments.
_PAUSED_LOOKS = 4

_EVENTS = (
    *("JOB_STATUS_CHANGE", "BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED"),
    "MIGRATION",
)


class Waited(NamedTuple):
    """How jobs stand when there is nothing to wait for any more.

    :param jobs: those that were waited for
    :param finished: title of the plan that had been left to them
    """

    jobs: tuple[Job, ...]
    finished: str | None = None


async def wait(
    host: Host,
    vm: VM,
    *,
    ids: Sequence[str] = (),
    timeout_s: float | None = None,
) -> Waited:
    """Wait until jobs have ended, or want an order that is not ours.

    A plan that was left to its job is finished then.  Cancelling this
    leaves the jobs as they are.

    :param ids: of the jobs; none: all that there are now
    :raise NotFoundError: there is no job of an id
    :raise JobError: one has failed
    :raise ConnectionLostError: QEMU has ended
    :raise StateError: QEMU is stopped by a signal
    :raise TimedOutError: they take longer
    """
    plan = await going_on(host, vm)
    detached = plan if plan and plan.detached else None
    jobs: tuple[Job, ...] = ()
    lost = bool(detached) and not vm.alive
    try:
        if vm.alive:
            async with asyncio.timeout(timeout_s):
                jobs = await _wait(host, vm, ids, plan)
    except TimeoutError:
        raise TimedOutError(
            f"the jobs of '{vm.name}' go on after {timeout_s:g} s"
        ) from None
    except ConnectionLostError:
        lost = True
    title = detached.plan.title if detached else None
    if detached:
        try:
            async with changing(host, vm.paths):
                pass  # the plan has been finished, or taken back
        except JobError as error:
            raise JobError(f"'{title}' has failed: {error}") from None
    if lost:
        back = f"; '{title}' was taken back" if detached else ""
        raise ConnectionLostError(
            f"QEMU of '{vm.name}' has ended, and its jobs with it{back}"
        )
    for job in jobs:
        if job.has_ended and job.error:
            raise JobError(f"the job {job.id} has failed: {job.error}")
    return Waited(jobs, title)


async def _wait(
    host: Host, vm: VM, ids: Sequence[str], plan: Pending | None
) -> tuple[Job, ...]:
    async with (
        host.sessions.open(vm.monitors) as session,
        session.listen(*_EVENTS) as listener,
    ):
        watch = _Watch(host, vm, plan)
        watch.begin(pick(vm, await _read(listener, vm), ids))
        with watch.bars:
            while not watch.done:
                await _hear(listener, watch, _LOOK_S)
                now = await _read(listener, vm, ended=True)
                # What QEMU has said before it answered.
                while await _hear(listener, watch, 0.0):
                    pass
                watch.see(now)
        return tuple(watch.jobs.values())


class _Watch:
    """The jobs that are waited for."""

    def __init__(self, host: Host, vm: VM, plan: Pending | None) -> None:
        self._host = host
        self._name = vm.name
        self._plan = plan
        self._shows: dict[str, Callable[[int, int], None]] = {}
        self._paused: dict[str, int] = {}
        self.jobs: dict[str, Job] = {}
        self.errors: dict[str, str] = {}
        self.bars = ExitStack()

    def begin(self, jobs: Sequence[Job]) -> None:
        """Watch these from now on."""
        for job in jobs:
            bar = self._host.progress(f"{self._name}: {job.id}", "B")
            self._shows[job.id] = self.bars.enter_context(bar)
        self.see(jobs)

    def see(self, now: Sequence[Job]) -> None:
        """Take note of how they are."""
        found = {job.id: job for job in now}
        for id, show in self._shows.items():
            job = found.get(id)
            if job is None:
                self.jobs[id] = self._gone(id)
                continue
            self.jobs[id] = job
            show(job.current, job.total)
            self._tell_paused(job)

    def _gone(self, id: str) -> Job:
        """A job that somebody has dismissed."""
        return self.jobs[id]._replace(
            status="concluded", error=self.errors.get(id)
        )

    def _tell_paused(self, job: Job) -> None:
        looks = self._paused.get(job.id, 0) + 1
        self._paused[job.id] = looks if job.status == "paused" else 0
        if self._paused[job.id] == _PAUSED_LOOKS:
            why = f" ({job.error})" if job.error else ""
            self._host.say(
                f"{self._name}: {job.id} is paused{why}; "
                f"'qemu job resume {self._name}' lets it go on"
            )

    @property
    def done(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return all(map(self._is_done, self.jobs.values()))

    def _is_done(self, job: Job) -> bool:
        step = self._plan and job_step(self._plan.plan, job.id)
        if self._plan and step:
            # Whoever is at it gives the orders.
            until = step.until if self._plan.detached else "concluded"
            return has_reached(job.status, until)
        return job.has_ended or job.waits_for_order


async def _hear(listener: "Listener", watch: _Watch, timeout_s: float) -> bool:
    """Take note of an event; false: there is none."""
    try:
        event = await listener.get(timeout_s)
    except TimedOutError:
        return False
    if event.name == "BLOCK_JOB_CANCELLED":
        watch.errors[event.data["device"]] = "it was cancelled"
    elif error := event.data.get("error"):
        watch.errors[event.data["device"]] = error
    return True


async def _read(
    listener: "Listener", vm: VM, *, ended: bool = False
) -> list[Job]:
    """Look at the jobs; while the main loop is busy, again and again.

    :raise StateError: QEMU is stopped
    """
    while True:
        reading = asyncio.ensure_future(state.read(listener, ended=ended))
        try:
            while not reading.done():
                await asyncio.wait((reading,), timeout=_ANSWER_S)
                if not reading.done() and vm.process:
                    check_running(vm.process.pid)
            return reading.result()
        except TimedOutError:
            continue
        finally:
            reading.cancel()
