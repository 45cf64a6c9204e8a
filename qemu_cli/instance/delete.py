"""Deleting an instance: its directory, and nothing outside of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from qemu_cli.errors import StateError
from qemu_cli.instance import autostart, leftovers, needs
from qemu_cli.instance.change import changing, run
from qemu_cli.instance.exports import held
from qemu_cli.instance.host import Host, known_facts, pid_of
from qemu_cli.instance.vm import VM, no_instance
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import Move, Plan, Remove
from qemu_cli.storage import dependants, tools


async def delete(host: Host, vm: VM) -> None:
    """Delete a stopped instance.

    It is renamed away first, so that it is gone at once; what a kill
    leaves of it is removed by the next command that takes its name.

    :raise StateError: it runs, or another instance needs a file of it
    """
    paths = vm.paths
    async with changing(host, paths) as now:
        check_deletable(now)
        tool = tools.find("qemu-img", host.config)
        needed = await needs.everyone(host, tool)
        _check_unneeded(paths, needed)
        facts = known_facts(now)
        left = await leftovers.of(host, paths.name, needed)
        await run(host, paths, plan_delete(paths))
    await _forget_unit(host, paths)
    for file in left:
        host.say(f"no VM needs {file} any more")
    if facts:
        host.hooks.deleted(facts)


async def _forget_unit(host: Host, paths: InstancePaths) -> None:
    """What would start it with the host is of no use any more."""
    if autostart.enabled(paths):
        try:
            await autostart.disable(host, paths)
        except OSError as error:
            host.warn(f"{error.filename} is left: {error.strerror}")


async def in_order(host: Host, vms: Sequence[VM]) -> list[VM]:
    """Put each VM before those whose files it needs.

    What needs a VM also needs all that this VM needs, so the more there
    are who need one, the later it comes.
    """
    needed = await needs.everyone(host, tools.find("qemu-img", host.config))
    owners = {
        dependants.identity(file): vm.name
        for vm in vms
        for file in needs.own(vm.paths)
    }
    users: dict[str, set[str]] = {vm.name: set() for vm in vms}
    for name, files in needed.items():
        for file in files:
            owner = owners.get(dependants.identity(file), name)
            if owner != name:
                users[owner].add(name)
    return sorted(vms, key=lambda vm: len(users[vm.name]))


def plan_delete(paths: InstancePaths) -> Plan:
    """The steps that delete an instance.  Pure."""
    return Plan(
        f"delete {paths.name}",
        (
            Move(str(paths.directory), str(paths.doomed)),
            Remove(str(paths.runtime)),
            Remove(str(paths.doomed)),
        ),
        commit=1,
        frees=True,
    )


def check_deletable(vm: VM) -> None:
    """Refuse to delete a VM that runs, or is exported.

    :raise StateError: it is, or it is no instance
    """
    if vm.foreign:
        raise no_instance(vm)
    if vm.alive:
        raise StateError(
            f"'{vm.name}' is {vm.state} (pid {pid_of(vm)})",
            hint=f"'qemu shutdown {vm.name}' first",
        )
    held.check_unserved(vm.paths)


async def check_unneeded(host: Host, paths: InstancePaths) -> None:
    """Refuse to delete files that other instances are built on.

    :raise StateError: names those instances
    """
    tool = tools.find("qemu-img", host.config)
    _check_unneeded(paths, await needs.everyone(host, tool))


def _check_unneeded(
    paths: InstancePaths, needed: Mapping[str, Sequence[Path]]
) -> None:
    others = {each: needed[each] for each in needed if each != paths.name}
    users = dependants.users(needs.own(paths), others)
    if users:
        who = ", ".join(f"'{name}' ({file})" for name, file in users.items())
        raise StateError(
            f"'{paths.name}' is needed by {who}",
            hint="delete those first; 'qemu clone NAME NEW --full' makes a"
            " copy that needs nothing",
        )
