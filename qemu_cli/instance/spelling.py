"""How QEMU is told of a device, and of what is behind it.  Pure.

The same words serve the command line and a machine that runs, where
``-blockdev`` is ``blockdev-add`` and ``-device`` is ``device_add``.
"""

import json
from pathlib import Path
from typing import Any

from qemu_cli.instance.model import (
    Cdrom,
    Cpu,
    Device,
    Dimm,
    Disk,
    Nic,
    Share,
)
from qemu_cli.paths import InstancePaths
from qemu_cli.profiles.base import Profile

#: What QEMU takes as a number only, of all that is said here.
_NUMBERS = ("lun", "scsi-id", "slot")

#: What stands before the id of a DIMM in that of its back-end.
BACKEND = "mem-"


def escape(value: str) -> str:
    """Double the commas, as QEMU's option syntax wants."""
    return value.replace(",", ",,")


def blockdev(
    node: str, file: Path, image_format: str, *, cache: str, read_only: bool
) -> dict[str, Any]:
    """Return the ``-blockdev`` node of an image (QAPI BlockdevOptions)."""
    flags = {
        "direct": cache in ("none", "directsync"),
        "no-flush": cache == "unsafe",
    }
    device = file.is_block_device()
    return {
        "driver": image_format,
        "node-name": node,
        "read-only": read_only,
        "discard": "unmap",
        "cache": flags,
        "file": {
            "driver": "host_device" if device else "file",
            "filename": str(file),
            "node-name": f"{node}-file",
            "read-only": read_only,
            "discard": "unmap",
            "cache": flags,
        },
    }


def disk(
    disk: Disk, profile: Profile, paths: InstancePaths, order: int
) -> list[str]:
    """Return the arguments that make a disk.

    :param order: its place in the boot order
    """
    node = disk_node(disk, disk.id, paths)
    device = disk_device(disk, disk.id, profile)
    if not profile.bare:
        device += f",bootindex={order}"
    return ["-blockdev", compact(node), "-device", device]


def disk_node(disk: Disk, name: str, paths: InstancePaths) -> dict[str, Any]:
    """Return the block node of a disk.

    :param name: what to call it; at the start, as the disk
    """
    return blockdev(
        name,
        paths.directory / disk.file,
        disk.format,
        cache=disk.cache,
        read_only=disk.read_only,
    )


def disk_device(disk: Disk, node: str, profile: Profile) -> str:
    """Return the front-end of a disk, without its place in the boot order.

    :param node: the block node behind it
    """
    device = f"{profile.disk(disk)},drive={node},id={disk.id}"
    if disk.bus != "usb":
        through = disk.cache in ("writethrough", "directsync")
        if disk.bus != "nvme":
            device += f",write-cache={'off' if through else 'on'}"
        if not profile.bare and "serial" not in disk.properties:
            device += f",serial={disk.id}"
    return device + _more(disk)


def _more(device: Disk | Cdrom | Nic) -> str:
    """What the definition says to a front-end in addition."""
    return "".join(
        f",{key}={escape(value)}" for key, value in device.properties.items()
    )


def cdrom(
    cdrom: Cdrom, profile: Profile, paths: InstancePaths, order: int
) -> list[str]:
    """Return the arguments that make a CD drive.

    :param order: its place in the boot order
    """
    front = f"{profile.cdrom(cdrom)},id={cdrom.id}"
    if not profile.bare:
        front += f",bootindex={order}"
    front += _more(cdrom)
    if cdrom.file is None:
        return ["-device", front]
    node = cdrom_node(paths.directory / cdrom.file, cdrom.id)
    return ["-blockdev", compact(node), "-device", f"{front},drive={cdrom.id}"]


def cdrom_node(file: Path, name: str) -> dict[str, Any]:
    """Return the block node of a CD.

    :param name: what to call it; at the start, as the drive
    """
    return blockdev(name, file, "raw", cache="writeback", read_only=True)


def nic(nic: Nic, profile: Profile) -> list[str]:
    """Return the arguments that make a NIC."""
    if nic.backend == "user":
        netdev = f"user,id={nic.id}"
        for forward in nic.forwards:
            netdev += (
                f",hostfwd={forward.protocol}:{forward.host_address}:"
                f"{forward.host_port}-:{forward.guest_port}"
            )
    else:
        netdev = f"bridge,id={nic.id},br={nic.bridge}"
    return ["-netdev", netdev, "-device", nic_device(nic, profile)]


def nic_device(nic: Nic, profile: Profile) -> str:
    """Return the front-end of a NIC, whose backend has the same id."""
    device = f"{profile.nic(nic)},netdev={nic.id},mac={nic.mac},id={nic.id}"
    return device + _more(nic)


def share(share: Share, profile: Profile, where: InstancePaths) -> list[str]:
    """Return the arguments that make a shared directory."""
    front = f"{profile.share(share)},id={share.id}"
    if share.driver == "virtiofs":
        socket = escape(str(where.share_socket(share.id)))
        return [
            *("-chardev", f"socket,id={share.id}-fs,path={socket}"),
            *("-device", f"{front},chardev={share.id}-fs,tag={share.tag}"),
        ]
    back = (
        f"local,id={share.id}-fs,path={escape(share.directory)},"
        # Files are the user's own, as if the guest's root were this user;
        # directories of several file systems get inode numbers that differ.
        "security_model=none,multidevs=remap"
    )
    if share.read_only:
        back += ",readonly=on"
    return [
        *("-fsdev", back),
        *("-device", f"{front},fsdev={share.id}-fs,mount_tag={share.tag}"),
    ]


def other_device(device: Device, profile: Profile) -> str:
    """Return the argument of ``-device`` for any other device."""
    words = [device.driver, f"id={device.id}"]
    if place := profile.place(device.slot):
        words.append(place)
    for key, value in device.options.items():
        words.append(f"{key}={escape(option_text(value))}")
    return ",".join(words)


def cpu_device(cpu: Cpu) -> str:
    """Return a CPU that is there from the start, as if plugged in."""
    place = "".join(f",{key}={value}" for key, value in cpu.place.items())
    return f"{cpu.driver},id={cpu.id}{place}"


def dimm_memory(dimm: Dimm, *, shared: bool) -> str:
    """Return the back-end of a DIMM.

    :param shared: a program beside QEMU maps it
    """
    size = f"id={BACKEND}{dimm.id},size={dimm.size_mib}M"
    if shared:
        return f"memory-backend-memfd,{size},share=on"
    return f"memory-backend-ram,{size}"


def dimm_device(dimm: Dimm) -> str:
    """Return the front-end of a DIMM."""
    return f"pc-dimm,id={dimm.id},memdev={BACKEND}{dimm.id},slot={dimm.slot}"


def properties(device: str) -> dict[str, Any]:
    """Turn an argument of ``-device`` into those of ``device_add``.

    QEMU 10 insists that a number is one there, and does not take a text.
    """
    driver, *rest = device.replace(",,", "\0").split(",")
    found: dict[str, Any] = {"driver": driver}
    for each in rest:
        key, _, value = each.replace("\0", ",").partition("=")
        found[key] = int(value) if key in _NUMBERS else value
    return found


def option_text(value: bool | int | str) -> str:
    """Return a value as QEMU's option syntax has it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def is_on_usb(device: Device) -> bool:
    """Whether a device hangs on the USB controller."""
    return device.slot.startswith("usb:")


def compact(value: dict[str, Any]) -> str:
    """Return a node as ``-blockdev`` takes it."""
    return json.dumps(value, separators=(",", ":"))
