"""The plans that jobs belong to: changes that are not done yet."""

from qemu_cli.instance.change import attending
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.proc import ProcFS
from qemu_cli.qmp import lock
from qemu_cli.steps import Plan
from qemu_cli.steps import job as steps
from qemu_cli.steps.runner import Journal, Pending


def pending(paths: InstancePaths) -> Pending | None:
    """Return the plan that is not done yet.

    :raise QemuCliError: its journal can't be read
    """
    return Journal(paths.journal).read()


def job_step(plan: Plan, id: str) -> steps.Job | None:
    """The step of a plan that is the job of this id."""
    for step in plan.steps:
        if isinstance(step, steps.Job) and step.job_id == id:
            return step
    return None


async def going_on(host: Host, vm: VM) -> Pending | None:
    """Return the plan that goes on: left to its job, or somebody is at it.

    One whose program was killed is finished or taken back before.
    """
    plan = pending(vm.paths)
    if plan is None or plan.detached:
        return plan
    who = lock.holder(str(vm.paths.lock))
    if who and ProcFS().process(who.pid):
        return plan
    async with attending(host, vm):
        return None
