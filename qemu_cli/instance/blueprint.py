"""From a wish and the host's facts to a definition and a plan.  Pure."""

import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import msgspec

from qemu_cli.emulator.firmware import Firmware
from qemu_cli.errors import UsageError
from qemu_cli.instance import consistency, definitions, model
from qemu_cli.instance.model import Definition
from qemu_cli.instance.parts import Newborn, Parts
from qemu_cli.instance.shares.entry import entry
from qemu_cli.instance.wish import DiskWish, Wish
from qemu_cli.paths import InstancePaths
from qemu_cli.profiles.base import Profile
from qemu_cli.steps import (
    AnyStep,
    MakeDirectory,
    Plan,
    Tool,
    WriteData,
    WriteFile,
)
from qemu_cli.storage import images, qemu_img
from qemu_cli.units import format_size

_MEMORY_SLOTS = 8
_MEMORY_ROOM_MIB = 16 * 1024


@dataclass(frozen=True)
class Facts:
    """What the host says to a wish."""

    arch: str
    profile: Profile
    machine: str
    accel: str
    cpu: str
    qemu_img: str
    images: tuple[images.ImageInfo | None, ...]
    ports: tuple[int, ...]
    memory_mib: int
    cpus: int
    max_cpus: int
    firmware: Firmware | None = None
    hint: str | None = None


def plan(
    paths: InstancePaths, wish: Wish, facts: Facts
) -> tuple[Definition, Plan]:
    """Work out the definition and the steps that make it.  Pure.

    But for the uuid, the MACs and the time, which are new each time.
    """
    profile = facts.profile
    id = str(uuid.uuid4())
    newborn = Newborn(
        *(paths.name, paths.directory, id, facts.arch, facts.machine)
    )
    parts = [extra(newborn) for extra in wish.extras]
    disks, steps = _disks(paths, wish, facts)
    added = [name for each in parts for name in each.cdroms]
    cdroms = [*(str(path.absolute()) for path in wish.cdroms), *added]
    shared = [share for each in parts for share in each.shares]
    buses = _buses(wish, profile, len(added)) + ["nic"] * len(shared)
    slots = profile.slots(buses)
    first_share = len(slots) - len(shared)
    definition = Definition(
        uuid=id,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        profile=profile.name,
        arch=facts.arch,
        machine=_machine(profile, facts, slots),
        firmware=_firmware(wish, facts),
        boot=_kernel(wish),
        disks=tuple(
            msgspec.convert({**disk, "slot": slot}, model.Disk)
            for slot, disk in zip(slots, disks, strict=False)
        ),
        cdroms=_cdroms(cdroms, slots[len(disks) :]),
        nics=_nics(wish, facts, slots[len(disks) + len(cdroms) :]),
        shares=tuple(
            entry(share, f"share{number}", slot, profile)
            for number, (share, slot) in enumerate(
                zip(shared, slots[first_share:], strict=True), start=1
            )
        ),
        display=wish.display,
        tpm=wish.tpm,
        qemu_args=wish.qemu_args,
        plugin=_tables(parts),
    )
    for problem in consistency.inconsistencies(definition):
        raise UsageError(problem)
    if wish.display != "none":
        profile.display()  # refuses now, not at the first start
    if wish.tpm:
        profile.tpm()
        steps.append(MakeDirectory(str(paths.tpm_state)))
    if facts.firmware:
        steps.append(_nvram(paths, facts, facts.firmware))
    steps += (
        WriteData(str(paths.directory / new.name), new.data, new.what)
        for each in parts
        for new in each.files
    )
    steps.append(
        WriteFile(str(paths.definition), definitions.render(definition))
    )
    first = MakeDirectory(str(paths.directory))
    return definition, Plan(f"create {paths.name}", (first, *steps))


def _tables(parts: Sequence[Parts]) -> dict[str, dict[str, Any]]:
    """What plug-ins want written down; several may share a table."""
    tables: dict[str, dict[str, Any]] = {}
    for each in parts:
        if each.table:
            tables.setdefault(each.plugin, {}).update(each.table)
    return tables


def _buses(wish: Wish, profile: Profile, added_cdroms: int) -> list[str]:
    buses = []
    for disk in wish.disks:
        bus = disk.bus or profile.disk_buses[0]
        profile.check_bus(bus)
        buses.append(bus)
    if (wish.cdroms or added_cdroms) and profile.cdrom_bus is None:
        raise UsageError(f"profile {profile.name} has no CD drives")
    buses += [str(profile.cdrom_bus)] * len(wish.cdroms)
    # What plug-ins add is for guests that are made for VMs: see base.py.
    added_bus = profile.virtio_cdrom_bus or profile.cdrom_bus
    buses += [str(added_bus)] * added_cdroms
    return buses + ["nic"] * len(wish.nics)


def _machine(
    profile: Profile, facts: Facts, slots: Sequence[str]
) -> model.Machine:
    return model.Machine(
        type=facts.machine,
        accel=facts.accel,  # type: ignore[arg-type]
        cpu=facts.cpu,
        cpus=facts.cpus,
        max_cpus=facts.max_cpus,
        memory_mib=facts.memory_mib,
        memory_slots=_MEMORY_SLOTS if profile.hotplug else 0,
        max_memory_mib=max_memory_mib(facts.memory_mib)
        if profile.hotplug
        else 0,
        root_ports=profile.root_ports(slots),
    )


def max_memory_mib(memory_mib: int) -> int:
    """How much memory a machine with this much has room for."""
    return max(4 * memory_mib, _MEMORY_ROOM_MIB)


def _firmware(wish: Wish, facts: Facts) -> model.Firmware:
    if facts.firmware is None:
        return model.Firmware()
    uefi = {
        "kind": "uefi",
        "code": str(facts.firmware.code),
        "code_format": facts.firmware.code_format,
        "secure_boot": wish.secure_boot,
    }
    return msgspec.convert(uefi, model.Firmware)


def _kernel(wish: Wish) -> model.Kernel | None:
    if wish.kernel is None:
        return None
    return model.Kernel(
        kernel=str(wish.kernel.absolute()),
        initrd=str(wish.initrd.absolute()) if wish.initrd else None,
        append=wish.append,
    )


def _cdroms(
    files: Sequence[str], slots: Sequence[str]
) -> tuple[model.Cdrom, ...]:
    return tuple(
        model.Cdrom(id=f"cdrom{n}", slot=slots[n], file=file)
        for n, file in enumerate(files)
    )


def _nics(
    wish: Wish, facts: Facts, slots: Sequence[str]
) -> tuple[model.Nic, ...]:
    forwards = tuple(
        model.Forward(
            host_port=port,
            guest_port=forward.guest_port,
            host_address=forward.host_address,
            protocol=forward.protocol,
        )
        for port, forward in zip(facts.ports, wish.forwards, strict=True)
    )
    nics = []
    for number, nic in enumerate(wish.nics):
        own = () if nic.bridge else forwards
        forwards = () if own else forwards
        nics.append(
            model.Nic(
                id=f"net{number}",
                slot=slots[number],
                mac=new_mac(),
                backend="bridge" if nic.bridge else "user",
                bridge=nic.bridge,
                forwards=own,
            )
        )
    if forwards:
        raise UsageError("--forward needs a user NIC: --nic user")
    return tuple(nics)


def new_mac() -> str:
    """A MAC in QEMU's range 52:54:00, which is locally administered."""
    tail = secrets.token_bytes(3)
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in tail)


def _disks(
    paths: InstancePaths, wish: Wish, facts: Facts
) -> tuple[list[dict[str, object]], list[AnyStep]]:
    fields: list[dict[str, object]] = []
    steps: list[AnyStep] = []
    for number, (disk, info) in enumerate(
        zip(wish.disks, facts.images, strict=True)
    ):
        made, commands = disk_parts(
            paths, facts.qemu_img, f"disk{number}", disk, info
        )
        fields.append({**made, "bus": disk.bus or facts.profile.disk_buses[0]})
        steps += commands
    return fields, steps


def disk_parts(
    paths: InstancePaths,
    tool: str,
    id: str,
    disk: DiskWish,
    info: images.ImageInfo | None,
) -> tuple[dict[str, object], list[AnyStep]]:
    """Work out a disk's entry, without bus and slot, and what makes it.

    :param tool: qemu-img
    :param info: the image that it is made from, if it is
    :raise UsageError: it can't be made so
    """
    steps: list[AnyStep] = []
    image_format = _image_format(disk, info)
    file = f"{id}.{image_format}"
    if disk.source and info:
        _check_disk_size(disk, disk.source, info)
    if disk.mode == "in-place" and disk.source:
        file = str(disk.source.absolute())
    else:
        target = paths.directory / file
        command = _image_command(tool, disk, info, target, image_format)
        steps.append(Tool(command, creates=str(target)))
        if disk.mode == "copy" and disk.source and disk.size_bytes:
            grow = qemu_img.resize_argv(
                tool, target, image_format, disk.size_bytes
            )
            steps.append(Tool(grow))
    fields: dict[str, object] = {
        "id": id,
        "file": file,
        "format": image_format,
        "cache": disk.cache,
        "read_only": disk.read_only,
    }
    return fields, steps


def _image_format(disk: DiskWish, info: images.ImageInfo | None) -> str:
    """The format of the image that the guest will write to."""
    if info is None or disk.source is None:
        return disk.format or "qcow2"
    if disk.mode == "overlay":
        return "qcow2"
    known = get_args(model.ImageFormat)
    if info.format not in known:
        raise UsageError(
            f"a disk can't be an image of format {info.format}, as "
            f"{disk.source} is; it can be {', '.join(known)}",
            hint="without --copy and --in-place it is an overlay on it",
        )
    return info.format


def _check_disk_size(
    disk: DiskWish, source: Path, info: images.ImageInfo
) -> None:
    if not disk.size_bytes:
        return
    if disk.mode == "in-place":
        raise UsageError(
            f"{source} is used in place, so it keeps its size",
            hint="'qemu-img resize' changes it",
        )
    if disk.size_bytes < info.virtual_size_bytes:
        raise UsageError(
            f"a disk of {format_size(disk.size_bytes)} would cut off what is "
            f"in {source}: that has {format_size(info.virtual_size_bytes)}"
        )


def _image_command(
    tool: str,
    disk: DiskWish,
    info: images.ImageInfo | None,
    target: Path,
    image_format: str,
) -> tuple[str, ...]:
    if info is None or disk.source is None:
        size_bytes = disk.size_bytes or 0
        return qemu_img.create_argv(tool, target, size_bytes, image_format)
    source = disk.source.absolute()
    if disk.mode == "copy":
        if info.backing_file or info.data_file or source.is_block_device():
            return qemu_img.convert_argv(
                tool, source, info.format, target, image_format
            )
        return qemu_img.copy_argv(source, target)
    return qemu_img.create_overlay_argv(
        tool, target, source, info.format, size_bytes=disk.size_bytes
    )


def _nvram(paths: InstancePaths, facts: Facts, found: Firmware) -> Tool:
    command = qemu_img.convert_argv(
        facts.qemu_img,
        found.vars_template,
        found.vars_format,
        paths.nvram,
        "qcow2",
    )
    return Tool(command, creates=str(paths.nvram))
