"""``qemu device add``: one more device, plugged in at once if the VM runs."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import tomlkit

from qemu_cli.emulator import binary, drivers
from qemu_cli.emulator.drivers import Driver
from qemu_cli.errors import RefusedError, StateError, UsageError
from qemu_cli.extensions import pick
from qemu_cli.instance import blueprint, change, spelling
from qemu_cli.instance.devices.kinds import kind_of
from qemu_cli.instance.devices.wish import DeviceWish
from qemu_cli.instance.disks import guard, slots
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.disks.edit import append, edit
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition, Device, Nic
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.profiles.base import Profile
from qemu_cli.steps import AnyStep, Plan, WriteFile
from qemu_cli.steps.block import Plug
from qemu_cli.steps.plug import AddNetdev

#: The first USB controller of a machine is called so, wherever it is.
USB_CONTROLLER = "usb0"

#: QEMU gives one four ports; a place on USB may be up to port 15.
_USB_PORTS = {"p2": 15, "p3": 15}

#: What has commands of its own.
_ELSEWHERE = {
    "disk": "'qemu disk add' adds disks",
    "cdrom": "'qemu cdrom insert' changes CDs, 'qemu create --cdrom' makes "
    "the drive",
    "memory": "'qemu memory set' plugs in memory",
    "cpu": "'qemu cpu set' plugs in CPUs",
    "shared directory": "'qemu share add' shares directories",
}

_NIC = "virtio-net-pci"


class Added(NamedTuple):
    """A device, and where in the definition it belongs.

    :param before: steps that make its back-end, while the VM runs
    """

    table: str
    entry: Device | Nic
    argument: str
    before: tuple[AnyStep, ...] = ()


async def add(
    host: Host,
    vm: VM,
    wish: DeviceWish,
    *,
    next_start: bool = False,
    dry_run: bool = False,
    action: str = "device add",
) -> Done:
    """Give a VM one more device.

    :param next_start: leave the machine that runs as it is
    :raise UsageError: QEMU has no such device or property, or there is no
        place for it
    :raise StateError: the machine that runs can't take it
    :raise RefusedError: QEMU did not take it; all is undone
    """
    paths = vm.paths
    async with change.changing(host, paths) as now:
        guard.check_changeable(now)
        definition = now.definition
        profile: Profile = pick("qemu_cli.profiles", definition.profile)()
        driver, options = await _checked(host, now.name, definition, wish)
        machine = await look(host, now)
        hot = now.alive and not next_start
        bus = bus_of(driver, profile)
        slot = slots.first_free(profile, definition, bus, machine)
        if hot:
            slots.check_pluggable(
                now.name, profile, bus, slot, machine, what="device"
            )
        elif bus == "usb":
            check_usb_at_start(now.name, profile)
        taken = definition.ids | machine.ids
        if wish.id in taken:
            raise StateError(f"there is a device '{wish.id}' already")
        if driver.name == _NIC:
            added = _nic(wish, profile, slot, wish.id or free_id("net", taken))
        else:
            added = _other(driver, wish.id, options, profile, slot, taken)
        if hot and isinstance(added.entry, Nic) and added.entry.bridge:
            raise StateError(
                f"'{now.name}' runs, and a NIC on a bridge can't be plugged "
                "in while it does",
                hint="--next-start leaves the machine that runs as it is",
            )
        ports = slots.root_ports(definition, profile, slot)
        edited = edit(host, paths, _change(definition, added, ports))
        plan = plan_add(paths, added, edited.step, action=action, hot=hot)
        done = _done(plan, added, waits=now.alive and not hot)
        try:
            return await do(host, paths, done, action=action, dry_run=dry_run)
        except RefusedError as error:
            if "hotplug" in str(error) and not error.hint:
                error.hint = "--next-start leaves the machine as it is"
            raise


async def look(host: Host, vm: VM) -> slots.Machine:
    """Ask a VM what it has plugged in, if it runs."""
    if not vm.alive:
        return slots.NOTHING
    async with host.sessions.open(vm.monitors) as session:
        return await slots.look(session)


async def _checked(
    host: Host, name: str, definition: Definition, wish: DeviceWish
) -> tuple[Driver, drivers.Options]:
    """Look the driver and its properties up; gives those their types.

    :raise UsageError: see :func:`add`
    """
    qemu = binary.find(definition.arch, host.config)
    driver = (await drivers.load(qemu)).find(wish.driver)
    kind = kind_of(driver.name)
    if kind in _ELSEWHERE:
        raise UsageError(
            f"{driver.name} is no device of its own", hint=_ELSEWHERE[kind]
        )
    if driver.name == _NIC:
        return driver, {}
    if kind == "nic":
        raise UsageError(
            f"{driver.name}: all NICs are {_NIC}",
            hint=f"add {_NIC}, with netdev=user or netdev=bridge:NAME",
        )
    if kind == "port":
        raise UsageError(
            f"{driver.name}: root ports are made at a start",
            hint=f"'qemu set {name} machine.root_ports="
            f"{definition.machine.root_ports + 8}' makes eight more",
        )
    known = await drivers.properties(qemu, driver.name)
    return driver, drivers.check(driver.name, wish.options, known)


def bus_of(driver: Driver, profile: Profile) -> str:
    """The bus that a device goes on, as :meth:`Profile.slots` takes it.

    :raise UsageError: the board has no place for it
    """
    pci = bool(profile.place("rp0"))
    if driver.bus == "PCI" and pci:
        return "nic"
    if driver.bus == "usb-bus" and "usb" in profile.disk_buses:
        return "usb"
    if driver.bus == "virtio-bus" and not pci:
        return "nic"
    on = f"on a bus of the type {driver.bus}" if driver.bus else "on no bus"
    has = "PCI and USB devices" if pci else "virtio-…-device"
    raise UsageError(
        f"{driver.name} goes {on}, and a {profile.name} machine has no "
        "place for it that is ours to give",
        hint=f"it takes {has}; 'qemu set NAME qemu-arg+=…' takes any words "
        "of QEMU's",
    )


def check_usb_at_start(name: str, profile: Profile) -> None:
    """See that the next start can have USB at all.

    :raise UsageError: the board has none
    """
    if "usb" not in profile.disk_buses:
        raise UsageError(f"'{name}': a {profile.name} machine has no USB")


def _other(
    driver: Driver,
    id: str | None,
    options: drivers.Options,
    profile: Profile,
    slot: str,
    taken: frozenset[str],
) -> Added:
    if driver.name.endswith("xhci"):
        options = {**_USB_PORTS, **options}
        if id is None and USB_CONTROLLER not in taken:
            id = USB_CONTROLLER
    device = Device(
        id=id or free_id(_stem(driver.name), taken),
        driver=driver.name,
        slot=slot,
        options=options,
    )
    return Added("devices", device, spelling.other_device(device, profile))


def _nic(wish: DeviceWish, profile: Profile, slot: str, id: str) -> Added:
    """A NIC; what its back-end is, its netdev says."""
    given = dict(wish.options)
    kind, _, bridge = given.pop("netdev", "user").partition(":")
    mac = given.pop("mac", blueprint.new_mac()).lower()
    if given:
        raise UsageError(
            f"a NIC has no '{next(iter(given))}'", hint="it has netdev and mac"
        )
    if kind not in ("user", "bridge") or (kind == "bridge") != bool(bridge):
        raise UsageError(
            f"netdev={wish.options['netdev']} is not understood",
            hint="it is netdev=user or netdev=bridge:NAME",
        )
    fields = {
        "id": id,
        "slot": slot,
        "mac": mac,
        "backend": kind,
        **({"bridge": bridge} if bridge else {}),
    }
    try:
        nic = msgspec.convert(fields, Nic)
    except msgspec.ValidationError as error:
        raise UsageError(f"{_NIC}: {error}") from error
    return Added(
        "nics", nic, spelling.nic_device(nic, profile), (AddNetdev(nic.id),)
    )


def _stem(driver: str) -> str:
    """``rng`` for virtio-rng-pci: what ids of such devices begin with."""
    stem = re.sub(r"^(virtio|usb|qemu|vhost-user)-", "", driver)
    stem = re.sub(r"-(pci|device)(-.*)?$", "", stem)
    stem = re.sub(r"[^A-Za-z0-9]", "", stem)[:20]
    return stem if stem[:1].isalpha() else f"dev{stem}"


def free_id(stem: str, taken: "set[str] | frozenset[str]") -> str:
    """Return ``rng1`` or the like, that nothing is called."""
    number = 0 if stem == "net" else 1
    while f"{stem}{number}" in taken:
        number += 1
    return f"{stem}{number}"


def _change(
    definition: Definition, added: Added, ports: int
) -> Callable[[Any], None]:
    def change_it(document: Any) -> None:
        entry = msgspec.to_builtins(added.entry)
        if options := entry.get("options"):
            entry["options"] = tomlkit.inline_table()
            entry["options"].update(options)
        append(document, added.table, entry)
        if ports != definition.machine.root_ports:
            document["machine"]["root_ports"] = ports

    return change_it


def plan_add(
    paths: InstancePaths,
    added: Added,
    define: WriteFile,
    *,
    action: str,
    hot: bool,
) -> Plan:
    """Work out how a device is added.  Pure.

    The device comes last: a guest that has seen it may not let go of it.
    """
    steps: list[AnyStep] = [*added.before] if hot else []
    steps.append(define)
    if hot:
        plug = spelling.properties(added.argument)
        if isinstance(added.entry, Device):
            plug |= added.entry.options  # these have their types
        steps.append(Plug(plug))
    return Plan(f"{action} {paths.name} {added.entry.id}", tuple(steps))


def _done(plan: Plan, added: Added, *, waits: bool) -> Done:
    entry = added.entry
    driver = entry.driver if isinstance(entry, Device) else _NIC
    data = {
        "device": entry.id,
        "driver": driver,
        "slot": entry.slot,
        "waits": waits,
    }
    text = f"{entry.id} added ({driver}, {entry.slot})"
    if waits:
        text += "; the guest has it after the next start"
    return Done(plan, text, data)
