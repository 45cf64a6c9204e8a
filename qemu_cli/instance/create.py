"""Making an instance: from a wish to a definition and a plan."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from qemu_cli import settings
from qemu_cli.emulator import abilities, accel, binary, firmware
from qemu_cli.errors import NotFoundError, StateError, UsageError
from qemu_cli.extensions import pick
from qemu_cli.instance import history, needs
from qemu_cli.instance import ports as host_ports
from qemu_cli.instance.blueprint import Facts, plan
from qemu_cli.instance.change import claimed, run
from qemu_cli.instance.discovery import joined
from qemu_cli.instance.host import Host, vm_facts
from qemu_cli.instance.model import Definition
from qemu_cli.instance.names import check_name
from qemu_cli.instance.wish import DiskWish, Wish
from qemu_cli.paths import InstancePaths
from qemu_cli.profiles.base import Profile
from qemu_cli.steps import Plan
from qemu_cli.storage import dependants, images, tools

_PROFILES = {"x86_64": "q35", "i386": "q35", "aarch64": "virt"}
_MIB = 1 << 20
_CPUS_ROOM = 8


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
    check_free(host, paths)
    facts = await gather(host, wish)
    definition, made = plan(paths, wish, facts)
    _check_text(definition)
    problems = host.hooks.check_definition(vm_facts(paths, definition))
    if problems:
        raise UsageError("; ".join(problems))
    if dry_run:
        return Created(definition, made, facts.hint)
    async with claimed(host, paths):
        check_free(host, paths)
        await run(host, paths, made)
    history.note(paths, "create", command=host.who)
    host.hooks.created(vm_facts(paths, definition))
    return Created(definition, made, facts.hint)


def check_free(host: Host, paths: InstancePaths) -> None:
    """Refuse a name that is taken.

    :raise StateError: it is
    """
    joined.check_room(host.paths, paths.name)
    if paths.journal.exists():
        return  # looked at again under the lock, after the clean-up
    if paths.directory.exists():
        raise StateError(
            f"there is an instance '{paths.name}' already",
            hint=f"'qemu show {paths.name}' shows it",
        )


def _check_text(definition: Definition) -> None:
    """Refuse what no TOML file can hold."""
    try:
        msgspec.json.encode(definition)
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{str(error.object)!r} is not UTF-8 text, and can't be written "
            "into a definition",
            hint="give the file another name, or a link to it",
        ) from None


async def gather(host: Host, wish: Wish) -> Facts:
    """Ask the host what a wish comes to; changes nothing."""
    config = host.config
    arch = wish.arch or binary.host_arch()
    qemu = binary.find(arch, config)
    known = await abilities.load(qemu, host.paths)
    profile = _profile(wish, arch, config[settings.PROFILE])
    machine = known.machine(wish.machine or profile.machine)
    if wish.cpu:
        known.check_cpu(wish.cpu)
    wanted = wish.accel or config[settings.ACCEL]
    decided = (
        await accel.decide(qemu, known, host.paths)
        if wanted == "auto"
        else accel.Accel(wanted, "you said so")  # type: ignore[arg-type]
    )
    memory_bytes = wish.memory_bytes or config[settings.MEMORY]
    cpus = wish.cpus or config[settings.CPUS]
    _check_size(memory_bytes, cpus, machine.cpus_max)
    room = machine.cpus_max if machine.hotpluggable_cpus else cpus
    most = min(room, max(cpus, _CPUS_ROOM))
    image_tool = tools.find("qemu-img", config)
    if wish.tpm:
        tools.find("swtpm", config)  # not at the first start
    _check_files(wish)
    return Facts(
        arch=arch,
        profile=profile,
        machine=machine.name,
        accel=decided.name,
        cpu=wish.cpu or accel.cpu_model(decided.name),
        qemu_img=image_tool,
        images=await _probe_images(host, wish, image_tool),
        ports=_ports(host, wish),
        memory_mib=memory_bytes // _MIB,
        cpus=cpus,
        max_cpus=most,
        firmware=_firmware(wish, profile, arch, machine.name),
        hint=f"the guest will be emulated ({decided.reason}); {decided.hint}"
        if decided.hint
        else None,
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


def _firmware(
    wish: Wish, profile: Profile, arch: str, machine: str
) -> firmware.Firmware | None:
    """Find the files of UEFI; None: a BIOS is wanted, or nothing at all."""
    kind = wish.firmware or profile.firmwares[0]
    if wish.kernel and not wish.firmware:
        kind = "bios"  # QEMU loads the kernel itself
    if wish.secure_boot:
        if wish.firmware == "bios":
            raise UsageError("--secure-boot needs UEFI, not --firmware bios")
        kind = "uefi"
    if kind not in profile.firmwares:
        raise UsageError(f"profile {profile.name} has no {kind} firmware")
    if kind == "bios":
        return None
    return firmware.find(arch, machine, secure_boot=wish.secure_boot)


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
        check_readable(path)


def check_readable(path: Path) -> None:
    """Refuse a file that QEMU could not read.

    :raise NotFoundError: it is not there
    :raise UsageError: it can't be read
    """
    try:
        if not path.is_fifo():  # that would wait for its writer
            path.open("rb").close()
            return
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error
    raise UsageError(f"{path} is a pipe, not a file")


async def _probe_images(
    host: Host, wish: Wish, tool: str
) -> tuple[images.ImageInfo | None, ...]:
    return tuple(
        [
            await probe_image(host, disk, tool, trusted=wish.trust_image)
            for disk in wish.disks
        ]
    )


async def probe_image(
    host: Host, disk: DiskWish, tool: str, *, trusted: bool
) -> images.ImageInfo | None:
    """Look at the image that a disk is to be made from, if there is one.

    :raise UsageError: it can't be taken, or needs trust
    :raise StateError: others need it unchanged, or change it
    """
    if disk.source is None:
        return None
    info = await images.probe(
        tool, disk.source, format=disk.format, trusted=trusted
    )
    if info.encrypted:
        raise UsageError(
            f"the image {disk.source} is encrypted, and there is no way "
            "yet to give QEMU its key",
            hint="'qemu-img convert' makes a copy that is not",
        )
    if disk.mode == "in-place" and not disk.read_only:
        await _refuse_dependants(host, tool, disk.source)
    elif disk.mode == "overlay":
        _refuse_writers(host, disk.source)
    return info


async def _refuse_dependants(host: Host, tool: str, file: Path) -> None:
    """A file that others are built on must never be written."""
    users = dependants.users_of(file, await needs.everyone(host, tool))
    if users:
        raise StateError(
            f"{file} is in use by {', '.join(users)}",
            hint="leave --in-place out: an overlay leaves the file as it is",
        )


def _refuse_writers(host: Host, file: Path) -> None:
    """What others write to is nothing to build on."""
    if users := needs.writers(host, file):
        who = ", ".join(f"'{name}'" for name in users)
        raise StateError(
            f"{file} is a disk of {who}, whose guest writes to it",
            hint=f"'qemu clone {users[0]} NEW' makes a VM like it, --copy one "
            "with a copy of the disk",
        )


def _ports(host: Host, wish: Wish) -> tuple[int, ...]:
    """Give each forward its host port, for ever."""
    if not wish.forwards:
        return ()
    taken = taken_ports(host)
    typed = {forward.host_port for forward in wish.forwards}
    chosen: list[int] = []
    for forward in wish.forwards:
        port = forward.host_port
        if owner := taken.get((forward.protocol, port)):
            raise StateError(
                f"the host port {port} belongs to instance '{owner}'",
                hint="without a host port a free one is chosen",
            )
        if not port:
            port = host_ports.choose(
                forward.host_address,
                {*(number for _, number in taken), *typed, *chosen},
                udp=forward.protocol == "udp",
            )
        chosen.append(port)
    return tuple(chosen)


def taken_ports(host: Host) -> dict[tuple[str, int], str]:
    """The protocol and host port of all forwards, and whose they are."""
    return {
        (forward.protocol, forward.host_port): paths.name
        for paths, definition in needs.readable(host)
        for forward in definition.forwards
    }
