"""The QEMU command line of a definition.  Pure: looks at nothing."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from qemu_cli.instance import spelling
from qemu_cli.instance.model import Definition
from qemu_cli.instance.spelling import blockdev, compact, escape
from qemu_cli.paths import InstancePaths
from qemu_cli.profiles.base import Profile

SANDBOX = (
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
)


def build(
    definition: Definition,
    profile: Profile,
    paths: InstancePaths,
    *,
    binary: Path,
    by_hand: bool = False,
    accel: str | None = None,
    paused: bool = False,
    incoming: bool = False,
    extra: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the argv that starts this VM.

    :param binary: the emulator for the definition's architecture
    :param by_hand: for people who run it without this program: sockets of
        its own beside the disks, and no recorder
    :param accel: the accelerator, where the definition leaves it open
    :param paused: do not run the guest's CPUs yet (``-S``)
    :param incoming: wait for a saved state (``-incoming defer``)
    :param extra: arguments of plug-ins, before the user's own
    :raise UsageError: the profile does not have a device that is asked for
    """
    machine = definition.machine
    where = paths
    if by_hand:
        where = InstancePaths(paths.directory, paths.directory)
    argv = [
        str(binary),
        *("-name", f"guest={escape(paths.name)},debug-threads=on"),
        *("-uuid", definition.uuid),
        "-nodefaults",
        "-no-user-config",
        *("-machine", _machine(definition, profile, accel)),
        *profile.options(definition),
        *("-cpu", machine.cpu),
        *("-smp", _smp(definition)),
        *("-m", _memory(definition)),
        *_shared_memory(definition, profile),
        *("-sandbox", _sandbox(definition, by_hand)),
        *("-pidfile", str(paths.pid_file)),
        *([] if profile.bare else ["-rtc", "base=utc"]),
        *([] if profile.bare else ["-boot", "strict=on"]),
        *_display(definition, where),
        *_monitors(paths, where, by_hand),
        *_firmware(definition, paths),
        *_kernel(definition, paths),
    ]
    if not profile.bare:
        argv += ["-object", "rng-random,id=rng0,filename=/dev/urandom"]
    for device in profile.controllers(definition):
        argv += ["-device", device]
    for cpu in definition.cpus:
        argv += ["-device", spelling.cpu_device(cpu)]
    for dimm in definition.dimms:
        memory = spelling.dimm_memory(dimm, shared=definition.shares_memory)
        argv += ["-object", memory, "-device", spelling.dimm_device(dimm)]
    # Those on USB come last: their controller may be one of these.
    on_usb = [each for each in definition.devices if spelling.is_on_usb(each)]
    for each in definition.devices:
        if each not in on_usb:
            argv += ["-device", spelling.other_device(each, profile)]
    argv += _character_devices(profile, paths, where)
    if profile.bare:  # the buses of what follows are in there
        argv += [*extra, *definition.qemu_args]
    argv += _tpm(definition, profile, where)
    if definition.display != "none":
        for device in profile.display():
            argv += ["-device", device]
    order = 1
    for disk in definition.disks:
        argv += spelling.disk(disk, profile, paths, order)
        order += 1
    for cdrom in definition.cdroms:
        argv += spelling.cdrom(cdrom, profile, paths, order)
        order += 1
    for nic in definition.nics:
        argv += spelling.nic(nic, profile)
    for share in definition.shares:
        argv += spelling.share(share, profile, where)
    for each in on_usb:
        argv += ["-device", spelling.other_device(each, profile)]
    if incoming:
        argv += ["-incoming", "defer"]
    if paused:
        argv.append("-S")
    if not profile.bare:
        argv += [*extra, *definition.qemu_args]
    return tuple(argv)


def script(argv: Sequence[str], helpers: Sequence[Sequence[str]] = ()) -> str:
    """Return ``command.sh``: what starts the VM without this program.

    :param helpers: commands to run first
    """
    return (
        "#!/bin/sh\n"
        "# Starts this VM without qemu(1).  Written at each start.\n"
        + "".join(f"{pasteable(helper)} || exit\n" for helper in helpers)
        + f"exec {pasteable(argv)}\n"
    )


def pasteable(argv: Sequence[str]) -> str:
    """Return a command as a shell takes it, an option a line."""
    lines = [shlex.quote(argv[0])]
    for word in argv[1:]:
        if word.startswith("-"):
            lines.append(shlex.quote(word))
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return " \\\n  ".join(lines)


def _machine(
    definition: Definition, profile: Profile, accel: str | None
) -> str:
    machine = definition.machine
    options = [machine.type, f"accel={accel or machine.accel}"]
    options += profile.machine_options(definition)
    if definition.shares_memory:
        options.append(f"memory-backend={profile.ram}")
    if definition.firmware.kind == "uefi":
        options += ["pflash0=code", "pflash1=nvram"]
    return ",".join(options)


def _smp(definition: Definition) -> str:
    machine = definition.machine
    if machine.max_cpus == machine.cpus:
        return str(machine.cpus)
    return f"{machine.cpus},maxcpus={machine.max_cpus}"


def _memory(definition: Definition) -> str:
    machine = definition.machine
    size = f"size={machine.memory_mib}M"
    if machine.memory_slots:
        size += (
            f",slots={machine.memory_slots},maxmem={machine.max_memory_mib}M"
        )
    return size


def _shared_memory(definition: Definition, profile: Profile) -> list[str]:
    """The same memory under the same name, but others may map it."""
    if not definition.shares_memory:
        return []
    size = f"size={definition.machine.memory_mib}M"
    return [
        "-object",
        f"memory-backend-memfd,id={profile.ram},{size},share=on",
    ]


def _sandbox(definition: Definition, by_hand: bool) -> str:
    # By hand, QEMU itself has to run qemu-bridge-helper.
    if by_hand and any(nic.backend == "bridge" for nic in definition.nics):
        return SANDBOX.replace("spawn=deny", "spawn=allow").replace(
            "elevateprivileges=deny", "elevateprivileges=children"
        )
    return SANDBOX


def _display(definition: Definition, where: InstancePaths) -> list[str]:
    if definition.display == "vnc":
        return ["-display", f"vnc=unix:{escape(str(where.vnc_socket))}"]
    return ["-display", definition.display]


def _monitors(
    paths: InstancePaths, where: InstancePaths, by_hand: bool
) -> list[str]:
    argv: list[str] = []
    sockets = (
        where.control_socket,
        where.probe_socket,
        *where.follower_sockets,
    )
    for socket in sockets:
        name, path = socket.stem, escape(str(socket))
        argv += [
            "-chardev",
            f"socket,id={name},path={path},server=on,wait=off",
        ]
        argv += ["-mon", f"chardev={name},mode=control"]
    if not by_hand:  # its FIFO is prepared at each start
        events = escape(str(paths.events))
        argv += ["-chardev", f"pipe,id=recorder,path={events}"]
        argv += ["-mon", "chardev=recorder,mode=control"]
    return argv


def _firmware(definition: Definition, paths: InstancePaths) -> list[str]:
    firmware = definition.firmware
    if firmware.kind == "bios" or firmware.code is None:
        return []
    code = blockdev(
        "code",
        paths.directory / firmware.code,
        firmware.code_format,
        cache="writeback",
        read_only=True,
    )
    nvram = blockdev(
        "nvram",
        paths.directory / firmware.vars,
        "qcow2",
        cache="writeback",
        read_only=False,
    )
    argv = ["-blockdev", compact(code), "-blockdev", compact(nvram)]
    # The firmware writes it in system management mode, which only x86
    # has; on ARM nothing could write it then (firmware.json, requires-smm).
    if firmware.secure_boot and definition.arch in ("x86_64", "i386"):
        argv += [
            "-global",
            "driver=cfi.pflash01,property=secure,value=on",
        ]
    return argv


def _kernel(definition: Definition, paths: InstancePaths) -> list[str]:
    boot = definition.boot
    if boot is None:
        return []
    argv = ["-kernel", str(paths.directory / boot.kernel)]
    if boot.initrd:
        argv += ["-initrd", str(paths.directory / boot.initrd)]
    if boot.append:
        argv += ["-append", boot.append]
    return argv


def _character_devices(
    profile: Profile, paths: InstancePaths, where: InstancePaths
) -> list[str]:
    """The ports, and on a board of ours what is behind them."""
    serial = escape(str(where.serial_socket))
    agent = escape(str(where.agent_socket))
    serial_device = ["-serial", "chardev:serial0"]
    agent_device = [
        "-device",
        "virtserialport,id=agentport0,bus=vserial0.0,nr=1,chardev=agent0,"
        "name=org.qemu.guest_agent.0",
    ]
    return [
        "-chardev",
        f"socket,id=serial0,path={serial},server=on,wait=off,"
        f"logfile={escape(str(paths.serial_log))},logappend=on",
        *([] if profile.bare else serial_device),
        "-chardev",
        f"socket,id=agent0,path={agent},server=on,wait=off",
        *([] if profile.bare else agent_device),
    ]


def _tpm(
    definition: Definition, profile: Profile, where: InstancePaths
) -> list[str]:
    if not definition.tpm:
        return []
    return [
        "-chardev",
        f"socket,id=tpmctl0,path={escape(str(where.tpm_socket))}",
        "-tpmdev",
        "emulator,id=tpm0,chardev=tpmctl0",
        "-device",
        f"{profile.tpm()},tpmdev=tpm0",
    ]
