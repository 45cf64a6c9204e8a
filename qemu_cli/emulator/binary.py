"""QEMU binaries: where they are.

What they can do is in :mod:`qemu_cli.emulator.abilities`.
"""

import contextlib
import os
import platform
import re
from pathlib import Path

from qemu_cli.config import Config
from qemu_cli.errors import NotFoundError
from qemu_cli.settings import QEMU_BINARY, QEMU_PATH
from qemu_cli.storage.tools import look_for

#: Other names of an emulator for the host's own architecture.
_HOST_NAMES = ("qemu-kvm", "/usr/libexec/qemu-kvm")

_EMULATOR = re.compile(r"qemu-system-(\w+)", re.ASCII)

#: Debian packages, by the beginning of the architecture's name.
_PACKAGES = {
    "x86_64": "qemu-system-x86",
    "i386": "qemu-system-x86",
    "aarch64": "qemu-system-arm",
    "arm": "qemu-system-arm",
    "mips": "qemu-system-mips",
    "ppc": "qemu-system-ppc",
    "sparc": "qemu-system-sparc",
}


def host_arch() -> str:
    """The host's architecture, by QEMU's name for it."""
    machine = platform.machine()
    return "i386" if re.fullmatch("i[3-6]86", machine) else machine


def find(arch: str, config: Config) -> Path:
    """Find the QEMU for an architecture.

    The setting ``qemu.binary.<arch>``, then ``qemu-system-<arch>`` in
    ``qemu.path`` and on PATH, then the host architecture's other names.

    :raise NotFoundError: with the Debian package in the hint
    """
    if said := config[QEMU_BINARY.of(arch)]:
        if os.access(said, os.X_OK) and Path(said).is_file():
            return Path(said).absolute()
        raise NotFoundError(
            f"qemu.binary.{arch} is {said}, which is not a program",
            hint=f"qemu config unset qemu.binary.{arch}",
        )
    names = [f"qemu-system-{arch}"]
    if arch == host_arch():
        names += _HOST_NAMES
    for name in names:
        if path := look_for(name, config):
            return Path(path).absolute()
    package = next(
        (p for start, p in _PACKAGES.items() if arch.startswith(start)),
        "qemu-system-misc",
    )
    raise NotFoundError(
        f"there is no QEMU for the architecture {arch}",
        hint=f"on Debian: apt install {package}; or say where it is:"
        f" qemu config set qemu.binary.{arch} FILE",
    )


def available(config: Config) -> dict[str, Path]:
    """Find the QEMUs for all architectures, without running any.

    Debian's other names for some (``qemu-system-amd64``, a link) are left
    out.
    """
    path = f"{config[QEMU_PATH]}:{os.environ.get('PATH', os.defpath)}"
    archs = {host_arch()}
    for directory in filter(None, path.split(":")):
        for file in Path(directory).glob("qemu-system-*"):
            match = _EMULATOR.fullmatch(file.name)
            target = _EMULATOR.fullmatch(file.resolve().name) or match
            if match and target and match[1] == target[1]:
                archs.add(match[1])
    found = {}
    for arch in sorted(archs):
        with contextlib.suppress(NotFoundError):
            found[arch] = find(arch, config)
    return found


def identity(binary: Path) -> tuple[str, int, int]:
    """What changes when the binary does: real path, mtime (ns), size.

    :raise NotFoundError: when it is gone
    """
    try:
        real = binary.resolve(strict=True)
        status = real.stat()
    except OSError as error:
        raise NotFoundError(f"{binary}: {error.strerror}") from error
    return (str(real), status.st_mtime_ns, status.st_size)
