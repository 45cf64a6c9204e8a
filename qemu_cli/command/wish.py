"""The options that describe a new VM, for all commands that make one."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.errors import UsageError
from qemu_cli.units import parse_size

if TYPE_CHECKING:
    from qemu_cli.config import Config
    from qemu_cli.instance.parts import Extra
    from qemu_cli.instance.wish import (
        DiskWish,
        Mode,
        NicWish,
        Wish,
    )

_DISK_KEYS = ("bus", "format", "cache", "readonly", "size")
_DISPLAYS = ("none", "vnc", "gtk", "sdl", "spice-app", "curses")
_CACHES = ("writeback", "none", "writethrough", "directsync", "unsafe")
_BUSES = ("virtio", "scsi", "sata", "nvme", "usb", "ide")
_FORMATS = ("qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc", "qed")


def add_wish_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a new VM, and its name."""
    parser.add_argument("name", metavar="NAME", help="what it is to be called")
    disks = parser.add_argument_group("disks")
    disks.add_argument(
        "--image",
        type=Path,
        metavar="FILE",
        help="a disk image to start from; it is not changed: the VM's disk is "
        "an overlay on it",
    )
    how = disks.add_mutually_exclusive_group()
    how.add_argument(
        "--copy", action="store_true", help="copy images, rather than overlay"
    )
    how.add_argument(
        "--in-place",
        action="store_true",
        help="write to the images themselves",
    )
    disks.add_argument(
        "--disk",
        action="append",
        default=[],
        metavar="SIZE|FILE[,KEY=VALUE…]",
        help="a new disk, or one from an image; keys: bus, format, cache, "
        "readonly, size (repeatable)",
    )
    disks.add_argument(
        "--cdrom",
        action="append",
        default=[],
        type=Path,
        metavar="ISO",
        help="a CD in a drive (repeatable)",
    )
    disks.add_argument(
        "--trust-image",
        action="store_true",
        help="take images that name other files of this host",
    )
    boot = parser.add_argument_group("boot")
    boot.add_argument("--kernel", type=Path, metavar="FILE", help="a kernel")
    boot.add_argument("--initrd", type=Path, metavar="FILE", help="its initrd")
    boot.add_argument("--append", metavar="ARGS", help="its command line")
    boot.add_argument(
        "--firmware",
        choices=("bios", "uefi"),
        help="what runs first (default: the profile's; q35: bios)",
    )
    boot.add_argument(
        "--secure-boot",
        action="store_true",
        help="UEFI that checks signatures",
    )
    board = parser.add_argument_group("machine")
    board.add_argument(
        "--memory",
        metavar="SIZE",
        help="such as 2G; a bare number is MiB (setting memory, 1G)",
    )
    board.add_argument(
        "--cpus",
        type=_count,
        metavar="N",
        help="how many CPUs (setting cpus, 1)",
    )
    board.add_argument(
        "--arch", help="such as x86_64 or aarch64 (default: this host's)"
    )
    board.add_argument("--profile", help="q35, microvm, virt, or a plug-in's")
    board.add_argument(
        "--machine",
        metavar="TYPE",
        help="QEMU's machine type (default: the profile's)",
    )
    board.add_argument(
        "--cpu",
        metavar="MODEL",
        help="QEMU's CPU model (default: host for KVM, max for TCG)",
    )
    board.add_argument(
        "--accel",
        choices=("auto", "kvm", "tcg"),
        help="the accelerator (setting accel, auto)",
    )
    board.add_argument(
        "--display",
        choices=_DISPLAYS,
        default="none",
        help="a screen; vnc is on a unix socket",
    )
    board.add_argument(
        "--tpm", action="store_true", help="a TPM 2.0, through swtpm"
    )
    board.add_argument(
        "--qemu-arg",
        action="append",
        default=[],
        metavar="WORD",
        help="a word for QEMU's command line, as --qemu-arg=-d (repeatable)",
    )
    network = parser.add_argument_group("network")
    network.add_argument(
        "--nic",
        action="append",
        metavar="user|none|bridge=BR",
        help="a network card (repeatable; default: user)",
    )
    network.add_argument(
        "--forward",
        action="append",
        default=[],
        metavar="[HOST:]GUEST",
        help="a port of this host to one of the guest; without HOST a free "
        "one is chosen, once for ever (repeatable)",
    )


def wish_of(
    args: argparse.Namespace,
    config: "Config",
    extras: "tuple[Extra, ...]" = (),
) -> "Wish":
    """Turn parsed options into a wish.

    :param extras: what plug-ins give it
    :raise UsageError: an option's value makes no sense
    """
    from qemu_cli import settings
    from qemu_cli.instance.wish import (
        DiskWish,
        Wish,
        parse_forward,
    )

    mode: Mode = "overlay"
    if args.copy or args.in_place:
        mode = "copy" if args.copy else "in-place"
    disks: list[DiskWish] = []
    if args.image:
        disks.append(DiskWish(source=args.image, mode=mode))
    disks += [parse_disk(text, mode) for text in args.disk]
    address = config[settings.FORWARD_HOST]
    return Wish(
        name=args.name,
        arch=args.arch,
        profile=args.profile,
        machine=args.machine,
        cpu=args.cpu,
        accel=args.accel,
        cpus=args.cpus,
        memory_bytes=_memory(args.memory),
        firmware=args.firmware,
        secure_boot=args.secure_boot,
        tpm=args.tpm,
        kernel=args.kernel,
        initrd=args.initrd,
        append=args.append,
        disks=tuple(disks),
        cdroms=tuple(args.cdrom),
        nics=_nics(args.nic),
        forwards=tuple(parse_forward(f, address) for f in args.forward),
        display=args.display,
        qemu_args=tuple(args.qemu_arg),
        trust_image=args.trust_image,
        extras=extras,
    )


def parse_disk(text: str, mode: "Mode" = "overlay") -> "DiskWish":
    """Parse ``SIZE|FILE[,KEY=VALUE…]``.

    What can be a size is one: the file ``10G`` is typed ``./10G``.  A
    comma in a file's name is doubled, as for QEMU.

    :raise UsageError: an unknown key or value, or a bad size
    """
    from qemu_cli.instance.wish import DiskWish

    words = re.split(r"(?<!,),(?!,)", text)
    what, *pairs = (word.replace(",,", ",") for word in words)
    keys = dict(_pair(text, pair) for pair in pairs)
    size_bytes, source = _size_or_file(text, what)
    if "size" in keys:
        if source is None:
            raise UsageError(f"--disk {text}: that is two sizes")
        size_bytes = parse_size(keys["size"])
    return DiskWish(
        size_bytes=size_bytes,
        source=source,
        mode=mode,
        bus=_choice(keys, "bus", _BUSES),
        format=_choice(keys, "format", _FORMATS),
        cache=_choice(keys, "cache", _CACHES) or "writeback",
        read_only=_choice(keys, "readonly", ("on", "off")) == "on",
    )


def _size_or_file(text: str, what: str) -> tuple[int | None, Path | None]:
    if "/" in what:
        return None, Path(what)
    try:
        return parse_size(what), None
    except UsageError as error:
        if not what or not Path(what).exists():
            raise UsageError(
                f"--disk {text}: '{what}' is neither a size nor a file",
                hint=error.hint,
            ) from None
    return None, Path(what)


def _pair(text: str, pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals or key not in _DISK_KEYS:
        raise UsageError(
            f"--disk {text}: '{pair}' is not understood",
            hint=f"the keys are {', '.join(_DISK_KEYS)}, as in 20G,bus=scsi",
        )
    return key, value


def _choice(
    keys: dict[str, str], key: str, known: tuple[str, ...]
) -> str | None:
    value = keys.get(key)
    if value is not None and value not in known:
        raise UsageError(
            f"there is no {key} '{value}'", hint=f"there is {', '.join(known)}"
        )
    return value


def _nics(values: list[str] | None) -> "tuple[NicWish, ...]":
    from qemu_cli.instance.wish import NicWish

    nics = []
    for value in values or ["user"]:
        kind, equals, bridge = value.partition("=")
        if kind == "user" and not equals:
            nics.append(NicWish())
        elif kind == "bridge" and bridge:
            nics.append(NicWish(bridge=bridge))
        elif value != "none" or len(values or []) > 1:
            raise UsageError(
                f"--nic {value} is not understood",
                hint="it is user, none, or bridge=NAME",
            )
    return tuple(nics)


def _memory(text: str | None) -> int | None:
    from qemu_cli.instance.wish import parse_memory

    if text is None:
        return None
    try:
        return parse_memory(text)
    except UsageError as error:
        raise UsageError(
            f"--memory: '{text}' is not a size", hint=error.hint
        ) from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise UsageError(f"--cpus: '{text}' is not a number of CPUs")
    return int(text)
