"""``qemu usb``: what hangs on a VM's USB controller."""

from typing import TYPE_CHECKING, NamedTuple

from qemu_cli.errors import (
    NotFoundError,
    QemuCliError,
    RefusedError,
    UsageError,
)
from qemu_cli.instance.devices import add as adding
from qemu_cli.instance.devices import host_usb, listing
from qemu_cli.instance.devices import remove as removing
from qemu_cli.instance.devices.wish import DeviceWish
from qemu_cli.instance.disks import add as disks_add
from qemu_cli.instance.disks import remove as disks_remove
from qemu_cli.instance.disks.done import Done
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.instance.wish import DiskWish
from qemu_cli.suggest import did_you_mean

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session

#: What can be asked for in one word, and QEMU's device for it.
KINDS = {"tablet": "usb-tablet", "keyboard": "usb-kbd", "mouse": "usb-mouse"}
STORAGE = "storage"
_HOST = "usb-host"
_WORDS = {driver: kind for kind, driver in KINDS.items()} | {
    "usb-storage": STORAGE,
    _HOST: "host",
}

#: USB devices go without being asked.
_TIMEOUT_S = 10.0


class UsbDevice(NamedTuple):
    """One device on a USB bus.

    :param kind: as ``usb add`` takes it, else QEMU's name
    :param port: on its bus; None: it is not plugged in
    :param host: ``VENDOR:PRODUCT`` or ``BUS-PORT`` of the host's
    """

    id: str | None
    kind: str
    driver: str | None
    port: str | None
    host: str | None = None
    problem: str | None = None


async def devices(host: Host, vm: VM) -> list[UsbDevice]:
    """List what hangs on the USB buses of a VM, whoever started it.

    :raise QemuCliError: its monitor can't be used; says why
    """
    found = [each for each in await listing.devices(host, vm) if _is_usb(each)]
    whose: dict[str | None, str] = {}
    if not vm.foreign:
        whose = {
            each.id: _wanted(each.options)
            for each in vm.definition.devices
            if each.driver == _HOST
        }
    if vm.alive and any(each.driver == _HOST for each in found):
        async with host.sessions.open(vm.monitors) as session:
            for each in found:
                if each.driver == _HOST and each.id and each.id not in whose:
                    whose[each.id] = await _asked(session, each.id)
    return [
        UsbDevice(
            each.id,
            _WORDS.get(str(each.driver), str(each.driver)),
            each.driver,
            each.place and each.place.rpartition(":")[2],
            whose.get(each.id),
            each.problem,
        )
        for each in found
    ]


def _is_usb(device: listing.Device) -> bool:
    if device.place and device.place.startswith("usb:"):
        return True
    controller = device.kind == "usb controller"
    return str(device.driver).startswith("usb-") and not controller


def _wanted(options: dict[str, bool | int | str]) -> str:
    """``046d:c31c`` or ``1-2.3`` (bus and port), of a usb-host."""
    if "vendorid" in options:
        numbers = [
            int(str(options.get(key, 0)), 0)
            for key in ("vendorid", "productid")
        ]
        return ":".join(f"{number:04x}" for number in numbers)
    where = options.get("hostport") or options.get("hostaddr")
    return f"{options.get('hostbus')}-{where}"


async def _asked(session: "Session", id: str) -> str:
    options: dict[str, bool | int | str] = {}
    for key in ("vendorid", "productid", "hostbus", "hostport", "hostaddr"):
        try:
            value = await session.execute(
                "qom-get",
                {"path": f"/machine/peripheral/{id}", "property": key},
            )
        except RefusedError:
            continue
        if value:
            options[key] = value
    return _wanted(options)


async def add(
    host: Host,
    vm: VM,
    what: str,
    *,
    disk: DiskWish | None = None,
    trust_image: bool = False,
    next_start: bool = False,
    dry_run: bool = False,
) -> Done:
    """Plug something into a VM's USB controller.

    :param what: a word of :data:`KINDS`, ``storage``, or ``host:…``
    :param disk: what ``storage`` is made of
    :raise QemuCliError: see :func:`adding.add` and :func:`host_usb.check`
    """
    if what == STORAGE:
        if disk is None:
            raise UsageError(
                "storage needs a SIZE or a FILE",
                hint=f"as in 'qemu usb add {vm.name} storage 8G'",
            )
        return await disks_add.add(
            *(host, vm, disk),
            trust_image=trust_image,
            next_start=next_start,
            dry_run=dry_run,
        )
    if disk is not None:
        raise UsageError(f"{what} is no storage, and takes no file or size")
    wish = _wish(host, vm, what, next_start=next_start)
    return await adding.add(
        *(host, vm, wish),
        next_start=next_start,
        dry_run=dry_run,
        action="usb add",
    )


def _wish(host: Host, vm: VM, what: str, *, next_start: bool) -> DeviceWish:
    if what.startswith("host:"):
        wanted = host_usb.parse_host(what.removeprefix("host:"))
        found = None
        try:
            found = host_usb.check(wanted)
        except QemuCliError as error:
            if (vm.alive and not next_start) or not wanted.vendor:
                raise
            # It may be there by then: QEMU waits for it.
            host.warn(f"{vm.name}: {error}")
        return DeviceWish(_HOST, wanted.options(found))
    if what not in KINDS:
        known = [*KINDS, STORAGE, "host:VENDOR:PRODUCT", "host:BUS.ADDR"]
        raise UsageError(
            f"'{what}' is no kind of USB device that is known here",
            hint=did_you_mean(what, known)
            or f"the kinds are {', '.join(known)}; 'qemu device add "
            f"{vm.name} usb-…' takes all of QEMU's",
        )
    return DeviceWish(KINDS[what], {})


async def remove(
    host: Host,
    vm: VM,
    id: str,
    *,
    next_start: bool = False,
    dry_run: bool = False,
) -> Done:
    """Pull something out of a VM's USB controller; no guest is asked.

    :raise NotFoundError: nothing on USB has this id
    :raise QemuCliError: see :func:`removing.remove`
    """
    known = {each.id: each for each in await devices(host, vm) if each.id}
    if id not in known:
        raise NotFoundError(
            f"'{vm.name}' has no USB device '{id}'",
            hint=did_you_mean(id, [str(each) for each in known])
            or f"'qemu usb list {vm.name}' shows all",
        )
    if known[id].kind == STORAGE and any(
        disk.id == id for disk in vm.definition.disks
    ):
        return await disks_remove.remove(
            *(host, vm, id),
            next_start=next_start,
            timeout_s=_TIMEOUT_S,
            confirm=lambda question: None,
            dry_run=dry_run,
        )
    return await removing.remove(
        *(host, vm, id),
        next_start=next_start,
        timeout_s=_TIMEOUT_S,
        dry_run=dry_run,
        action="usb remove",
    )
