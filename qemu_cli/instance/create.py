"""Making an instance: from a wish to a definition and a plan."""

import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from qemu_cli import settings
from qemu_cli.errors import QemuCliError, StateError, UsageError
from qemu_cli.extensions import pick
from qemu_cli.instance import accel, binary, firmware, history, model
from qemu_cli.instance import ports as host_ports
from qemu_cli.instance import vm as vms
from qemu_cli.instance.change import claimed, run
from qemu_cli.instance.host import Host, vm_facts
from qemu_cli.instance.model import Definition, DisplayKind
from qemu_cli.instance.names import check_name
from qemu_cli.paths import InstancePaths
from qemu_cli.profiles.base import Profile
from qemu_cli.steps import AnyStep, MakeDirectory, Plan, Tool, WriteFile
from qemu_cli.storage import dependants, images, qemu_img, tools
from qemu_cli.units import parse_size

#: How an image that exists is taken in (the user's is never changed
#: unless it is used in place).
Mode = Literal["overlay", "copy", "in-place"]

_PROFILES = {"x86_64": "q35", "i386": "q35", "aarch64": "virt"}
_MIB = 1 << 20
_SLOTS = 8
_MEMORY_ROOM_MIB = 16 * 1024
_CPUS_ROOM = 8


@dataclass(frozen=True)
class DiskWish:
    """A disk: a new one of ``size_bytes``, or one made from ``source``."""

    size_bytes: int | None = None
    source: Path | None = None
    mode: Mode = "overlay"
    bus: str | None = None
    format: str | None = None
    cache: str = "writeback"
    read_only: bool = False


@dataclass(frozen=True)
class NicWish:
    """A network card; ``bridge`` is the bridge's name, or None."""

    bridge: str | None = None


@dataclass(frozen=True)
class ForwardWish:
    """A port to forward; ``host_port`` 0: any that is free."""

    guest_port: int
    host_port: int = 0
    host_address: str = "127.0.0.1"
    protocol: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True)
class Wish:
    """What the user asked for; None: whatever is usual."""

    name: str
    arch: str | None = None
    profile: str | None = None
    machine: str | None = None
    cpu: str | None = None
    accel: str | None = None
    cpus: int | None = None
    memory_bytes: int | None = None
    firmware: str | None = None
    secure_boot: bool = False
    tpm: bool = False
    kernel: Path | None = None
    initrd: Path | None = None
    append: str | None = None
    disks: tuple[DiskWish, ...] = ()
    cdroms: tuple[Path, ...] = ()
    nics: tuple[NicWish, ...] = (NicWish(),)
    forwards: tuple[ForwardWish, ...] = ()
    display: DisplayKind = "none"
    qemu_args: tuple[str, ...] = ()
    trust_image: bool = False


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
    firmware: firmware.Firmware | None = None
    swtpm_setup: str | None = None
    hint: str | None = None


class Created(NamedTuple):
    """What was made, or would be."""

    definition: Definition
    plan: Plan
    hint: str | None


async def create(host: Host, wish: Wish, *, dry_run: bool = False) -> Created:
    """Make an instance, or only say what would be done.

    :raise UsageError: the wish makes no sense
    :raise NotFoundError: an image, QEMU or a firmware does not exist
    :raise StateError: there is such an instance already
    """
    paths = host.paths.instance(check_name(wish.name))
    _check_room(host, paths)
    facts = await gather(host, wish)
    definition, made = plan(paths, wish, facts)
    problems = host.hooks.check_definition(vm_facts(paths, definition))
    if problems:
        raise UsageError("; ".join(problems))
    if dry_run:
        return Created(definition, made, facts.hint)
    async with claimed(host, paths):
        _check_room(host, paths)
        await run(host, paths, made)
    history.note(paths, "create", command=host.who)
    host.hooks.created(vm_facts(paths, definition))
    return Created(definition, made, facts.hint)


def _check_room(host: Host, paths: InstancePaths) -> None:
    if paths.journal.exists():
        return  # looked at again under the lock, after the clean-up
    if paths.directory.exists():
        raise StateError(
            f"there is an instance '{paths.name}' already",
            hint=f"'qemu show {paths.name}' shows it",
        )


async def gather(host: Host, wish: Wish) -> Facts:
    """Ask the host what a wish comes to; changes nothing."""
    config = host.config
    arch = wish.arch or binary.host_arch()
    qemu = binary.find(arch, config)
    known = await binary.facts(qemu, host.paths)
    profile = _profile(wish, arch, config[settings.PROFILE])
    machine = known.machine(wish.machine or profile.machine)
    decided = await accel.decide(
        wish.accel or config[settings.ACCEL],
        arch=arch,
        binary=qemu,
        facts=known,
        paths=host.paths,
    )
    memory_bytes = wish.memory_bytes or config[settings.MEMORY]
    cpus = wish.cpus or config[settings.CPUS]
    _check_size(memory_bytes, cpus, machine.cpu_max)
    most = min(machine.cpu_max, max(cpus, _CPUS_ROOM))
    image_tool = tools.find("qemu-img", config)
    kind = wish.firmware or (
        "uefi" if wish.secure_boot else profile.firmwares[0]
    )
    if wish.kernel and not wish.firmware and not wish.secure_boot:
        kind = "bios"  # QEMU loads the kernel itself
    if kind not in profile.firmwares:
        raise UsageError(f"profile {profile.name} has no {kind} firmware")
    _check_files(wish)
    return Facts(
        arch=arch,
        profile=profile,
        machine=machine.name,
        accel=decided.name,
        cpu=wish.cpu or decided.cpu,
        qemu_img=image_tool,
        images=await _probe_images(host, wish, image_tool),
        ports=_ports(host, wish),
        memory_mib=memory_bytes // _MIB,
        cpus=cpus,
        max_cpus=most if profile.hotplug else cpus,
        firmware=firmware.find(
            arch, machine.name, secure_boot=wish.secure_boot
        )
        if kind == "uefi"
        else None,
        swtpm_setup=tools.find("swtpm", config) if wish.tpm else None,
        hint=decided.hint,
    )


def _profile(wish: Wish, arch: str, default: str) -> Profile:
    name = wish.profile or default or _PROFILES.get(arch)
    if name is None:
        raise UsageError(
            f"there is no profile for {arch} yet", hint="name one: --profile"
        )
    profile: Profile = pick("qemu_cli.profiles", name)()
    if arch not in profile.arches:
        raise UsageError(
            f"profile {name} is not for {arch}",
            hint=f"it is for {', '.join(sorted(profile.arches))}",
        )
    return profile


def _check_size(memory_bytes: int, cpus: int, cpu_max: int) -> None:
    if memory_bytes < _MIB:
        raise UsageError("a VM needs at least 1M of memory")
    if memory_bytes % _MIB:
        raise UsageError("memory is given in whole MiB")
    if memory_bytes // _MIB > 1 << 24:
        raise UsageError("no QEMU has more than 16T of memory")
    if not 1 <= cpus <= cpu_max:
        raise UsageError(f"this machine has from 1 to {cpu_max} CPUs")


def _check_files(wish: Wish) -> None:
    if wish.kernel is None and (wish.initrd or wish.append):
        raise UsageError("--initrd and --append go with --kernel")
    for path in filter(None, (wish.kernel, wish.initrd, *wish.cdroms)):
        _check_readable(path)


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error


async def _probe_images(
    host: Host, wish: Wish, tool: str
) -> tuple[images.ImageInfo | None, ...]:
    found: list[images.ImageInfo | None] = []
    for disk in wish.disks:
        if disk.source is None:
            found.append(None)
            continue
        info = await images.probe(
            tool,
            disk.source,
            format=disk.format,
            trusted=wish.trust_image,
        )
        if disk.mode == "in-place" and not disk.read_only:
            await _refuse_dependants(host, tool, disk.source)
        found.append(info)
    return tuple(found)


async def _refuse_dependants(host: Host, tool: str, file: Path) -> None:
    """A file that others are built on must never be written."""
    users = dependants.users_of(file, await chains(host, tool))
    if users:
        raise StateError(
            f"{file} is in use by {', '.join(users)}",
            hint="leave --in-place out: an overlay leaves the file as it is",
        )


async def chains(host: Host, tool: str) -> dict[str, list[Path]]:
    """All image files of all instances, active layers included."""
    found: dict[str, list[Path]] = {}
    for name in vms.names(host.paths):
        paths = host.paths.instance(name)
        try:
            definition = model.load(paths.definition)
        except QemuCliError:
            continue  # it can't be started either
        files: list[Path] = []
        for disk in definition.disks:
            top = paths.directory / disk.file
            try:
                files += await dependants.backing_chain(
                    tool, top, format=disk.format
                )
            except QemuCliError:
                files.append(top)
        found[name] = files
    return found


def _ports(host: Host, wish: Wish) -> tuple[int, ...]:
    """Give each forward its host port, for ever."""
    taken = _taken_ports(host)
    chosen: list[int] = []
    for forward in wish.forwards:
        port = forward.host_port
        if port in taken and port:
            raise StateError(
                f"the host port {port} belongs to instance '{taken[port]}'",
                hint="without a host port a free one is chosen",
            )
        if not port:
            port = host_ports.choose(
                forward.host_address,
                {*taken, *chosen},
                udp=forward.protocol == "udp",
            )
        chosen.append(port)
    return tuple(chosen)


def _taken_ports(host: Host) -> dict[int, str]:
    taken = {}
    for name in vms.names(host.paths):
        try:
            definition = model.load(host.paths.instance(name).definition)
        except QemuCliError:
            continue
        taken |= {f.host_port: name for f in definition.forwards}
    return taken


def plan(
    paths: InstancePaths, wish: Wish, facts: Facts
) -> tuple[Definition, Plan]:
    """Work out the definition and the steps that make it.  Pure.

    But for the uuid, the MACs and the time, which are new each time.
    """
    profile = facts.profile
    disks, steps = _disks(paths, wish, facts)
    slots = profile.slots(_buses(wish, profile))
    definition = Definition(
        uuid=str(uuid.uuid4()),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        profile=profile.name,
        arch=facts.arch,
        machine=_machine(profile, facts, slots),
        firmware=_firmware(wish, facts),
        boot=_kernel(wish),
        disks=tuple(
            model.Disk(slot=slot, **disk)
            for slot, disk in zip(slots, disks, strict=False)
        ),
        cdroms=_cdroms(wish, slots[len(disks) :]),
        nics=_nics(wish, facts, slots[len(disks) + len(wish.cdroms) :]),
        display=wish.display,
        tpm=wish.tpm,
        qemu_args=wish.qemu_args,
    )
    for problem in model.inconsistencies(definition):
        raise UsageError(problem)
    if wish.display != "none":
        profile.display()  # refuses now, not at the first start
    if wish.tpm:
        profile.tpm()
        steps.append(MakeDirectory(str(paths.tpm_state)))
    if facts.firmware:
        steps.append(_nvram(paths, facts, facts.firmware))
    steps.append(WriteFile(str(paths.definition), model.render(definition)))
    first = MakeDirectory(str(paths.directory))
    return definition, Plan(f"create {paths.name}", (first, *steps))


def _buses(wish: Wish, profile: Profile) -> list[str]:
    buses = []
    for disk in wish.disks:
        bus = disk.bus or profile.disk_buses[0]
        profile.check_bus(bus)
        buses.append(bus)
    if wish.cdroms and profile.cdrom_bus is None:
        raise UsageError(f"profile {profile.name} has no CD drives")
    buses += [str(profile.cdrom_bus)] * len(wish.cdroms)
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
        memory_slots=_SLOTS if profile.hotplug else 0,
        max_memory_mib=max(4 * facts.memory_mib, _MEMORY_ROOM_MIB)
        if profile.hotplug
        else 0,
        root_ports=profile.root_ports(slots),
    )


def _firmware(wish: Wish, facts: Facts) -> model.Firmware:
    if facts.firmware is None:
        return model.Firmware()
    return model.Firmware(
        kind="uefi",
        code=str(facts.firmware.code),
        code_format=facts.firmware.code_format,
        secure_boot=wish.secure_boot,
    )


def _kernel(wish: Wish) -> model.Kernel | None:
    if wish.kernel is None:
        return None
    return model.Kernel(
        kernel=str(wish.kernel.absolute()),
        initrd=str(wish.initrd.absolute()) if wish.initrd else None,
        append=wish.append,
    )


def _cdroms(wish: Wish, slots: Sequence[str]) -> tuple[model.Cdrom, ...]:
    return tuple(
        model.Cdrom(id=f"cdrom{n}", slot=slots[n], file=str(path.absolute()))
        for n, path in enumerate(wish.cdroms)
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
        image_format = "qcow2"
        if info is None or disk.source is None:
            image_format = disk.format or "qcow2"
        elif disk.mode != "overlay":
            image_format = info.format
        file = f"disk{number}.{image_format}"
        if disk.mode == "in-place" and disk.source is not None:
            file = str(disk.source.absolute())
        else:
            target = paths.directory / file
            command = _image_command(facts, disk, info, target, image_format)
            steps.append(Tool(command, creates=str(target)))
        fields.append(
            {
                "id": f"disk{number}",
                "file": file,
                "format": image_format,
                "bus": disk.bus or facts.profile.disk_buses[0],
                "cache": disk.cache,
                "read_only": disk.read_only,
            }
        )
    return fields, steps


def _image_command(
    facts: Facts,
    disk: DiskWish,
    info: images.ImageInfo | None,
    target: Path,
    image_format: str,
) -> tuple[str, ...]:
    if info is None or disk.source is None:
        size_bytes = disk.size_bytes or 0
        return qemu_img.create_argv(
            facts.qemu_img, target, size_bytes, image_format
        )
    source = disk.source.absolute()
    if disk.mode == "copy":
        if info.backing_file or info.data_file or source.is_block_device():
            return qemu_img.convert_argv(
                facts.qemu_img, source, info.format, target, image_format
            )
        return qemu_img.copy_argv(source, target)
    return qemu_img.create_overlay_argv(
        facts.qemu_img, target, source, info.format, size_bytes=disk.size_bytes
    )


def _nvram(
    paths: InstancePaths, facts: Facts, found: firmware.Firmware
) -> Tool:
    command = qemu_img.convert_argv(
        facts.qemu_img,
        found.vars_template,
        found.vars_format,
        paths.nvram,
        "qcow2",
    )
    return Tool(command, creates=str(paths.nvram))


def parse_memory(text: str) -> int:
    """Turn ``2G`` into bytes; a bare number is MiB, as for ``qemu -m``."""
    return parse_size(f"{text}M" if text.isdecimal() else text)


__all__ = (
    "Created",
    "DiskWish",
    "ForwardWish",
    "NicWish",
    "Wish",
    "chains",
    "create",
    "new_mac",
    "parse_memory",
)
