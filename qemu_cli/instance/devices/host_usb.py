"""The USB devices of this host: which there are, and whether we may.

Read from sysfs, as usbfs(5) and the kernel's usb.rst describe it; nothing
is opened, because that alone can wake a device up.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import NotFoundError, StateError, UsageError

SYSFS = Path("/sys/bus/usb/devices")
NODES = Path("/dev/bus/usb")

_SHOWN = 4


class HostDevice(NamedTuple):
    """One device that is plugged into the host.

    :param vendor: four hexadecimal digits, as ``product`` is
    :param port: the way to it from the bus, as in ``2.3``; "": a root hub
    """

    vendor: str
    product: str
    bus: int
    address: int
    name: str
    port: str = ""

    def __str__(self) -> str:
        """As lsusb shows it, and as it is asked for."""
        where = f"{self.bus}.{self.address}"
        return f"{self.vendor}:{self.product} {self.name} ({where})".replace(
            "  ", " "
        )


class HostWish(NamedTuple):
    """A device of the host that is wanted: by what it is, or where."""

    vendor: str = ""
    product: str = ""
    bus: int = 0
    address: int = 0

    def matches(self, device: HostDevice) -> bool:
        """Whether it is the one."""
        if self.vendor:
            mine = (self.vendor, self.product)
            return mine == (device.vendor, device.product)
        return (self.bus, self.address) == (device.bus, device.address)

    def options(self, found: HostDevice | None) -> dict[str, str]:
        """The properties of usb-host.

        An address is another after each plugging in, and QEMU does not
        start without that device; a port stays, and QEMU waits for it.

        :param found: the device, if it is there
        """
        if found is None or self.vendor:
            return {
                "vendorid": f"0x{self.vendor}",
                "productid": f"0x{self.product}",
            }
        return {"hostbus": str(found.bus), "hostport": found.port}

    def __str__(self) -> str:
        """As it was typed."""
        if self.vendor:
            return f"{self.vendor}:{self.product}"
        return f"{self.bus}.{self.address}"


def parse_host(text: str) -> HostWish:
    """Read ``VENDOR:PRODUCT`` or ``BUS.ADDR``.

    :raise UsageError: it is neither
    """
    if match := re.fullmatch(r"([0-9a-fA-F]{4}):([0-9a-fA-F]{4})", text):
        return HostWish(match[1].lower(), match[2].lower())
    if match := re.fullmatch(r"0*(\d{1,3})\.0*(\d{1,3})", text):
        return HostWish(bus=int(match[1]), address=int(match[2]))
    raise UsageError(
        f"'host:{text}' names no USB device",
        hint="host:VENDOR:PRODUCT, as in host:046d:c31c, or host:BUS.ADDR, as "
        "in host:1.4; lsusb shows both",
    )


def devices(sysfs: Path = SYSFS) -> list[HostDevice]:
    """All devices of the host, in the order of their places."""
    found = []
    for directory in sysfs.glob("*") if sysfs.is_dir() else ():
        try:
            found.append(
                HostDevice(
                    vendor=_read(directory, "idVendor"),
                    product=_read(directory, "idProduct"),
                    bus=int(_read(directory, "busnum")),
                    address=int(_read(directory, "devnum")),
                    name=_name(directory),
                    port=directory.name.partition("-")[2],
                )
            )
        except (OSError, ValueError):
            continue  # an interface, or it was pulled out just now
    return sorted(found, key=lambda each: (each.bus, each.address))


def _read(directory: Path, name: str) -> str:
    return (directory / name).read_text(errors="replace").strip()


def _name(directory: Path) -> str:
    try:
        return _read(directory, "product")
    except OSError:
        return ""


def check(
    wish: HostWish, sysfs: Path = SYSFS, nodes: Path = NODES
) -> HostDevice:
    """Find this one device, and see that we may use it.

    :raise NotFoundError: there is none; names those that there are
    :raise UsageError: there are several
    :raise StateError: it is not ours to use
    """
    known = devices(sysfs)
    found = [each for each in known if wish.matches(each)]
    if not found:
        some = ", ".join(map(str, known[:_SHOWN]))
        raise NotFoundError(
            f"this host has no USB device {wish}",
            hint=f"it has {some}{', …' * (len(known) > _SHOWN)}"
            if known
            else "it has none at all",
        )
    if len(found) > 1:
        places = " or ".join(f"host:{e.bus}.{e.address}" for e in found)
        raise UsageError(
            f"this host has {len(found)} USB devices {wish}",
            hint=f"say which: {places}",
        )
    if not found[0].port:
        raise UsageError(
            f"{found[0]} is a hub of this host itself",
            hint="what is plugged into it can be passed on",
        )
    node = nodes / f"{found[0].bus:03}" / f"{found[0].address:03}"
    if not os.access(node, os.R_OK | os.W_OK):
        raise StateError(
            f"the USB device {found[0]} is not yours to use: {node} can't "
            "be written to",
            hint="a rule of udev gives it to you: "
            f'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{found[0].vendor}", '
            f'ATTR{{idProduct}}=="{found[0].product}", TAG+="uaccess"',
        )
    return found[0]
