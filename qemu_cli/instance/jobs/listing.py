"""The jobs of many VMs, and how fast they are."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from qemu_cli.errors import NotFoundError, QemuCliError, StateError
from qemu_cli.instance.host import Host
from qemu_cli.instance.jobs.plans import pending
from qemu_cli.instance.jobs.state import Job, read
from qemu_cli.instance.vm import VM
from qemu_cli.progress import Pace
from qemu_cli.suggest import did_you_mean

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session

#: Between two looks from which a rate is worked out.
_LOOK_S = 0.4


class Found(NamedTuple):
    """The jobs of one VM.

    :param change: title of the plan that is not done yet, which is what
        the jobs are for
    :param problem: why the jobs are not known
    """

    vm: VM
    jobs: tuple[Job, ...] = ()
    change: str | None = None
    problem: str | None = None


async def look(host: Host, vms: Sequence[VM]) -> list[Found]:
    """Look at the jobs of VMs, all at the same time.

    One that does not answer is no error: it says why.
    """
    return list(
        await asyncio.gather(*(_look(host, vm) for vm in vms if vm.alive))
    )


async def look_at_one(host: Host, vm: VM) -> Found:
    """Look at the jobs of one VM.

    :raise StateError: it does not run, or does not answer
    """
    if not vm.alive:
        raise StateError(f"'{vm.name}' does not run: it is {vm.state}")
    if vm.foreign:
        return await _ask(host, vm)  # why not, is told in full
    found = await look(host, [vm])
    if found[0].problem:
        raise StateError(f"'{vm.name}' does not answer: {found[0].problem}")
    return found[0]


def pick(vm: VM, jobs: Sequence[Job], ids: Sequence[str]) -> list[Job]:
    """Return the jobs of these ids; all, when there are no ids.

    :raise NotFoundError: there is none of an id
    """
    known = {job.id: job for job in jobs}
    for id in ids:
        if id not in known:
            raise NotFoundError(
                f"'{vm.name}' has no job '{id}'",
                hint=did_you_mean(id, known)
                or f"'qemu job list {vm.name}' shows what it has",
            )
    return [known[id] for id in ids or known]


async def _look(host: Host, vm: VM) -> Found:
    if not vm.foreign and vm.reach not in ("free", "busy"):
        return Found(vm, problem=f"{vm.state}: {vm.reason}")
    try:
        return await _ask(host, vm)
    except QemuCliError as error:
        return Found(vm, problem=str(error))


async def _ask(host: Host, vm: VM) -> Found:
    async with host.sessions.open(vm.monitors) as session:
        jobs = await _read(session)
        if any(job.moves for job in jobs):
            paces = {job.id: _pace(job) for job in jobs}
            await asyncio.sleep(_LOOK_S)
            jobs = [
                _paced(job, paces[job.id]) if job.id in paces else job
                for job in await _read(session)
            ]
    found = pending(vm.paths)
    return Found(vm, tuple(jobs), found and found.plan.title)


async def _read(session: "Session") -> list[Job]:
    async with session.exchange():
        return await read(session)


def _pace(job: Job) -> Pace:
    pace = Pace()
    pace.add(job.current)
    return pace


def _paced(job: Job, pace: Pace) -> Job:
    pace.add(job.current)
    if job.rate_bytes_s is not None or not job.moves:
        return job
    return job._replace(
        rate_bytes_s=pace.rate, left_s=pace.left_s(job.current, job.total)
    )
