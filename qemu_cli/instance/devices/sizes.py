"""What changes of the number of CPUs and of the memory share."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qemu_cli.errors import StateError
from qemu_cli.extensions import pick
from qemu_cli.instance import change, redefine
from qemu_cli.instance.disks import edit, guard
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.profiles.base import Profile
from qemu_cli.steps import Plan

LATER = "--next-start leaves the machine as it is, and changes what it becomes"


async def define(
    host: Host,
    vm: VM,
    action: str,
    change_it: Callable[[Any], None],
    text: str,
    data: Mapping[str, Any],
    *,
    dry_run: bool,
) -> Done:
    """Change what the next start makes, and nothing else.

    :param action: such as ``cpu set``
    :param change_it: changes the definition's document
    :raise UsageError: the board can't have that
    :raise StateError: it has a saved state
    """
    paths = vm.paths
    async with change.changing(host, paths) as now:
        guard.check_unsaved(now)
        edited = edit.edit(host, paths, change_it)
        await redefine.check(host, paths, now.definition, edited.definition)
        plan = Plan(f"{action} {paths.name}", (edited.step,))
        if now.alive:
            text += " after the next start"
        done = Done(plan, text, {**data, "waits": now.alive})
        return await do(host, paths, done, action=action, dry_run=dry_run)


def check_running(vm: VM, what: str) -> None:
    """Refuse a machine that takes nothing while it runs.

    :param what: it would take
    :raise StateError: says what to do instead
    """
    definition = vm.definition
    profile: Profile = pick("qemu_cli.profiles", definition.profile)()
    if not profile.hotplug:
        raise StateError(
            f"'{vm.name}' runs, and a {profile.name} machine takes no {what} "
            "while it does",
            hint=LATER,
        )


def check_asks(vm: VM, what: str) -> None:
    """Refuse to take something from a guest that can't react.

    :raise StateError: it is paused
    """
    if vm.state == "paused":
        raise StateError(
            f"'{vm.name}' is paused, and its guest can't let go of {what}",
            hint=f"'qemu resume {vm.name}' first, or --next-start",
        )


def together(title: str, plans: Sequence[Plan]) -> Plan:
    """One plan with the steps of several, to be shown."""
    return Plan(title, tuple(step for plan in plans for step in plan.steps))
