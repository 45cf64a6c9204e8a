"""What the user asked for when creating an instance."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qemu_cli.errors import UsageError
from qemu_cli.instance.model import DisplayKind
from qemu_cli.instance.parts import Extra
from qemu_cli.units import parse_size

#: How an image that exists is taken in (the user's is never changed
#: unless it is used in place).
Mode = Literal["overlay", "copy", "in-place"]


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
    extras: tuple[Extra, ...] = ()


def parse_memory(text: str) -> int:
    """Turn ``2G`` into bytes; a bare number is MiB, as for ``qemu -m``."""
    return parse_size(f"{text}M" if text.isdecimal() else text)


def parse_forward(text: str, address: str = "127.0.0.1") -> ForwardWish:
    """Parse ``[[ADDRESS:]HOST:]GUEST[/udp]``.

    :param address: where the host listens when nothing is said
    :raise UsageError: it is not of this form
    """
    ports, slash, protocol = text.partition("/")
    words = ports.split(":")
    if len(words) > 3 or (slash and protocol not in ("tcp", "udp")):
        raise _bad_forward(text)
    *front, guest = words
    host = front.pop() if front else "0"
    host = host or "0"
    if not all(port.isascii() and port.isdigit() for port in (guest, host)):
        raise _bad_forward(text)
    if not 1 <= int(guest) <= 65535 or int(host) > 65535:
        raise UsageError(f"the forward '{text}': ports are from 1 to 65535")
    return ForwardWish(
        guest_port=int(guest),
        host_port=int(host),
        host_address=_address(front[0] if front else address),
        protocol="udp" if protocol == "udp" else "tcp",
    )


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise UsageError(
            f"'{text}' is no address that ports can be forwarded from",
            hint="QEMU takes IPv4 addresses, such as 127.0.0.1 or 0.0.0.0",
        ) from None


def _bad_forward(text: str) -> UsageError:
    return UsageError(
        f"the forward '{text}' is not understood",
        hint="it is [[ADDRESS:]HOST:]GUEST[/udp], as in 2222:22, or 22 for "
        "any free port",
    )
