"""Cancelling, pausing, resuming and dismissing jobs."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qemu_cli.errors import RefusedError, StateError
from qemu_cli.instance.change import changing
from qemu_cli.instance.host import Host
from qemu_cli.instance.jobs import state
from qemu_cli.instance.jobs.listing import pick
from qemu_cli.instance.jobs.plans import going_on, job_step, pending
from qemu_cli.instance.jobs.state import DUMP, MIGRATION, UNSTOPPABLE, Job
from qemu_cli.instance.vm import VM
from qemu_cli.qmp import jobs as qmp_jobs

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session
    from qemu_cli.steps.runner import Pending

_LOOK_S = 0.05


async def cancel(
    host: Host, vm: VM, session: "Session", ids: Sequence[str]
) -> list[str]:
    """Cancel jobs, and wait until they have ended.

    A plan that was left to one of them is taken back.

    :param ids: of the jobs; none: all
    :return: the ids of those that were cancelled
    :raise StateError: one can't be cancelled; none is cancelled then
    """
    plan = await going_on(host, vm)
    jobs = [
        job for job in await _chosen(vm, session, ids) if not job.has_ended
    ]
    for job in jobs:
        _require_cancellable(vm, job, plan)
    for job in jobs:
        if job.type == MIGRATION:
            await session.execute("migrate_cancel")
        elif plan and job_step(plan.plan, job.id):
            await session.execute("job-cancel", {"id": job.id})
            await _until_ended(session, job.id)
        else:
            await qmp_jobs.cancel_job(session, job.id)
    if plan and plan.detached:
        await _take_back(host, vm, jobs, plan)
    return [job.id for job in jobs]


async def pause(vm: VM, session: "Session", ids: Sequence[str]) -> list[str]:
    """Have jobs make a pause.

    :raise StateError: one can't; those before it make one
    """
    return await _order("job-pause", vm, session, ids)


async def resume(vm: VM, session: "Session", ids: Sequence[str]) -> list[str]:
    """Have jobs go on.

    :raise StateError: one makes no pause; those before it go on
    """
    return await _order("job-resume", vm, session, ids)


async def dismiss(vm: VM, session: "Session", ids: Sequence[str]) -> list[str]:
    """Have QEMU forget jobs that have ended.

    :param ids: of the jobs; none: all that have ended
    :raise StateError: one has not ended; or a plan waits for it
    """
    jobs = [
        job for job in await _chosen(vm, session, ids, none=True) if job.is_job
    ]
    plan = pending(vm.paths)
    gone = []
    for job in jobs:
        if job.status != "concluded":
            if ids:
                raise StateError(
                    f"the job {job.id} of '{vm.name}' is {job.status}: only"
                    " one that has ended can be dismissed",
                    hint=f"'qemu job cancel {vm.name} --job {job.id}' ends it",
                )
            continue
        if plan and job_step(plan.plan, job.id):
            raise StateError(
                f"'{plan.plan.title}' waits for the job {job.id}",
                hint=f"'qemu job wait {vm.name}' finishes it",
            )
        await session.execute("job-dismiss", {"id": job.id})
        gone.append(job.id)
    return gone


async def _chosen(
    vm: VM, session: "Session", ids: Sequence[str], *, none: bool = False
) -> list[Job]:
    async with session.exchange():
        jobs = pick(vm, await state.read(session), ids)
    if not jobs and not none:
        raise StateError(f"'{vm.name}' has no job")
    return jobs


async def _order(
    command: str, vm: VM, session: "Session", ids: Sequence[str]
) -> list[str]:
    jobs = await _chosen(vm, session, ids)
    for job in jobs:
        if not job.is_job or job.type in UNSTOPPABLE:
            raise StateError(f"a {job.type} can't make a pause")
        try:
            await session.execute(command, {"id": job.id})
        except RefusedError as error:
            raise StateError(
                f"the job {job.id} of '{vm.name}' is {job.status}: {error}"
            ) from None
    return [job.id for job in jobs]


def _require_cancellable(vm: VM, job: Job, plan: "Pending | None") -> None:
    if job.type == DUMP:
        raise StateError("QEMU can't cancel a dump")
    if job.type in UNSTOPPABLE:
        raise StateError(
            f"QEMU can't cancel {job.type}: it does nothing else until that"
            " is done"
        )
    if job.status == "postcopy-active":
        raise StateError(
            f"the migration of '{vm.name}' can't be cancelled: part of its"
            " memory is at its destination already"
        )
    if (
        plan
        and job_step(plan.plan, job.id)
        and plan.last >= plan.plan.point_of_no_return
    ):
        raise StateError(
            f"'{plan.plan.title}' has come too far to be taken back",
            hint=f"'qemu job wait {vm.name}' waits for its end",
        )


async def _until_ended(session: "Session", id: str) -> None:
    """Wait for a job; whoever does its plan will dismiss it."""
    while job := await qmp_jobs.find_job(session, id):
        if qmp_jobs.has_reached(job["status"], "concluded"):
            return
        await asyncio.sleep(_LOOK_S)


async def _take_back(
    host: Host, vm: VM, jobs: Sequence[Job], plan: "Pending"
) -> None:
    """Have a plan undone whose job has just been cancelled."""
    if not any(job_step(plan.plan, job.id) for job in jobs):
        return
    try:
        async with changing(host, vm.paths):
            pass
    except qmp_jobs.JobError:
        host.say(f"{vm.name}: '{plan.plan.title}' was taken back")
