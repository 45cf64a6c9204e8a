"""``qemu device remove``: unplugged if the VM runs."""

from typing import NamedTuple

from qemu_cli.errors import NotFoundError, StateError
from qemu_cli.extensions import pick
from qemu_cli.instance import change
from qemu_cli.instance.devices import listing
from qemu_cli.instance.devices.add import USB_CONTROLLER
from qemu_cli.instance.disks import edit, guard
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition
from qemu_cli.instance.vm import VM
from qemu_cli.profiles.base import Profile
from qemu_cli.steps import AnyStep, Plan
from qemu_cli.steps.block import Unplug
from qemu_cli.steps.plug import DropNetdev
from qemu_cli.suggest import did_you_mean

#: What has commands of its own.
_ELSEWHERE = {
    "shared directory": "'qemu share remove {name} TAG' does it",
    "disk": "'qemu disk remove {name} {id}' removes a disk",
    "cdrom": "'qemu cdrom eject {name} {id}' empties the drive",
    "memory": "'qemu memory set {name} SIZE' changes the memory",
    "cpu": "'qemu cpu set {name} N' changes the number of CPUs",
}


class Target(NamedTuple):
    """What is to go.

    :param table: of the definition; None: it is not in there
    :param plugged: as QEMU has it; None: it has not, or does not run
    """

    id: str
    table: str | None
    plugged: listing.Device | None


async def remove(
    host: Host,
    vm: VM,
    id: str,
    *,
    next_start: bool = False,
    timeout_s: float,
    dry_run: bool = False,
    action: str = "device remove",
) -> Done:
    """Take a device from a VM.

    :param next_start: leave the machine that runs as it is
    :param timeout_s: how long the guest may take to let go of it
    :raise NotFoundError: there is none of that id
    :raise StateError: the machine needs it, or can't let go of it
    :raise TimedOutError: the guest did not let go; nothing is changed
    :raise RefusedError: the guest, or QEMU, does not want to
    """
    paths = vm.paths
    async with change.changing(host, paths) as now:
        guard.check_changeable(now)
        definition = now.definition
        target = await _find(host, now, definition, id)
        _check_users(now, definition, target)
        hot = target.plugged is not None and not next_start
        if hot:
            _check_unpluggable(now, definition, target)
        steps: list[AnyStep] = []
        if hot:
            steps.append(Unplug(id, timeout_s))
        if target.table:
            table = target.table
            edited = edit.edit(
                host, paths, lambda doc: edit.remove(doc, table, id)
            )
            steps.append(edited.step)
        if target.table == "nics" and now.alive and not next_start:
            steps.append(DropNetdev(id))
        # What the guest has let go of, it does not get back: the first
        # step is the last that can fail without consequences.
        plan = Plan(f"{action} {paths.name} {id}", tuple(steps), 1)
        waits = target.plugged is not None and next_start
        text = f"{id} removed"
        if waits:
            text += "; the guest has it until it is shut down"
        data = {"device": id, "waits": waits}
        return await do(
            host,
            paths,
            Done(plan, text, data),
            action=action,
            dry_run=dry_run,
        )


async def _find(host: Host, vm: VM, definition: Definition, id: str) -> Target:
    """Find a device in the definition and in QEMU.

    :raise NotFoundError: it is in neither
    :raise StateError: it is not one that can be removed here
    """
    found = await listing.devices(host, vm, board=True)
    known = {each.id: each for each in found if each.id}
    device = known.get(id)
    if device is None:
        raise NotFoundError(
            f"'{vm.name}' has no device '{id}'",
            hint=did_you_mean(id, [str(each) for each in known])
            or f"'qemu device list {vm.name}' shows all",
        )
    if device.kind in _ELSEWHERE:
        raise StateError(
            f"{id} is a {device.kind}, and not removed here",
            hint=_ELSEWHERE[device.kind].format(name=vm.name, id=id),
        )
    table = None
    for name, entries in (
        ("devices", definition.devices),
        ("nics", definition.nics),
    ):
        if any(each.id == id for each in entries):
            table = name
    plugged = device if vm.alive and device.problem != listing.WAITS else None
    if table is None and device.problem != listing.BY_HAND:
        raise StateError(
            f"the machine of '{vm.name}' needs {id} ({device.driver})",
            hint="what can go is what 'device add', 'usb add' or '--nic' "
            "added",
        )
    return Target(id, table, plugged)


def _check_users(vm: VM, definition: Definition, target: Target) -> None:
    """Refuse to take a controller from what is on it.

    :raise StateError: names what is on it
    """
    if target.id != USB_CONTROLLER:
        return
    users = [
        each.id
        for each in definition.placed
        if each.slot.startswith("usb:") and each.id != target.id
    ]
    if definition.display != "none":
        users.append("the pointer of the screen")
    if users:
        raise StateError(
            f"{target.id} is the USB controller of {', '.join(users)}",
            hint=f"remove those first, as with 'qemu usb remove {vm.name} "
            f"{users[0]}'",
        )


def _check_unpluggable(vm: VM, definition: Definition, target: Target) -> None:
    """Refuse what the running machine can't let go of.

    :raise StateError: says why, and what to do instead
    """
    assert target.plugged is not None  # noqa: S101
    profile: Profile = pick("qemu_cli.profiles", definition.profile)()
    later = "--next-start leaves the machine that runs as it is"
    if not profile.hotplug or not target.plugged.hotpluggable:
        raise StateError(
            f"'{vm.name}' runs, and {target.id} can't be taken from it then",
            hint=later if target.table else None,
        )
    usb = (target.plugged.place or "").startswith("usb:")
    if vm.state == "paused" and not usb:
        raise StateError(
            f"'{vm.name}' is paused, and its guest can't let go of "
            f"{target.id}",
            hint=f"'qemu resume {vm.name}' first, or --next-start",
        )
