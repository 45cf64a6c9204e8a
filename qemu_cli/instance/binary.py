"""QEMU binaries: where they are, and what they can do.

What a binary can do is asked of it, once, and cached until the file
changes; nothing is guessed from a version number.
"""

import contextlib
import os
import platform
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from qemu_cli.config import Config
from qemu_cli.errors import NotFoundError, RefusedError, UsageError
from qemu_cli.files import write_atomically
from qemu_cli.instance.bare_qemu import BareQemu, bare_qemu
from qemu_cli.paths import Paths
from qemu_cli.settings import QEMU_BINARY, QEMU_PATH
from qemu_cli.storage.tools import look_for
from qemu_cli.suggest import did_you_mean

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


class MachineFacts(msgspec.Struct, frozen=True):
    """A machine type (QAPI MachineInfo); its name is versioned."""

    name: str
    cpus_max: int
    hotpluggable_cpus: bool
    deprecated: bool


class BinaryFacts(msgspec.Struct, frozen=True):
    """What one binary can do.

    :param version: major, minor, micro
    :param package: who built it, as in ``Debian 1:7.2+dfsg-7``; may be ""
    :param arch: the guest architecture, as in ``qemu-system-<arch>``
    :param machines: by name
    :param aliases: such as ``q35``, to the versioned name
    :param accelerators: of KVM and TCG those compiled in; not: usable
    :param cpu_models: for ``-cpu``
    :param options: those with arguments; ``run-with`` is new in 9.0
    """

    version: tuple[int, int, int]
    package: str
    arch: str
    machines: dict[str, MachineFacts]
    aliases: dict[str, str]
    accelerators: frozenset[str]
    cpu_models: frozenset[str]
    options: frozenset[str]

    def machine(self, name: str) -> MachineFacts:
        """Look up a machine type by its name or its alias.

        :raise UsageError: when there is none; the nearest is named
        """
        try:
            return self.machines[self.aliases.get(name, name)]
        except KeyError:
            known = [*self.aliases, *self.machines]
            raise UsageError(
                f"QEMU for {self.arch} has no machine type '{name}'",
                hint=did_you_mean(name, known)
                or f"the list: qemu-system-{self.arch} -machine help",
            ) from None


class _Cached(msgspec.Struct, frozen=True):
    identity: tuple[str, int, int]
    facts: BinaryFacts


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


async def facts(binary: Path, paths: Paths) -> BinaryFacts:
    """Say what a binary can do: from the cache, else by asking it (0.1 s).

    A cache that can't be read or written makes it slower, no more.

    :raise ToolError: when it does not run, with its own words
    :raise TimedOutError: when it does not answer
    """
    now = identity(binary)
    cache = paths.binary_facts(zlib.crc32(now[0].encode()))
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        cached = msgspec.json.decode(cache.read_bytes(), type=_Cached)
        if cached.identity == now:
            return cached.facts
    found = await _ask(binary)
    with contextlib.suppress(OSError):
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = msgspec.json.encode(_Cached(now, found)).decode()
        write_atomically(cache, text)
    return found


async def _ask(binary: Path) -> BinaryFacts:
    async with bare_qemu(binary) as qemu:
        version = await qemu.execute("query-version")
        machines = await qemu.execute("query-machines")
        accelerators = [n for n in ("kvm", "tcg") if await _has(qemu, n)]
        options = await qemu.execute("query-command-line-options")
        target = await qemu.execute("query-target")
        try:
            cpus = await qemu.execute("query-cpu-definitions")
        except RefusedError:
            cpus = []  # not for every architecture
    number = version["qemu"]
    return BinaryFacts(
        version=(number["major"], number["minor"], number["micro"]),
        package=version["package"].strip(" ()"),
        arch=target["arch"],
        machines={m["name"]: _machine(m) for m in machines},
        aliases={m["alias"]: m["name"] for m in machines if "alias" in m},
        accelerators=frozenset(accelerators),
        cpu_models=frozenset(cpu["name"] for cpu in cpus),
        options=frozenset(option["option"] for option in options),
    )


async def _has(qemu: BareQemu, accelerator: str) -> bool:
    # Not qom-list-types: that loads every module, and a broken one among
    # them ends QEMU.
    try:
        typename = f"{accelerator}-accel"
        await qemu.execute("qom-list-properties", typename=typename)
    except RefusedError:
        return False
    return True


def _machine(machine: Mapping[str, Any]) -> MachineFacts:
    return MachineFacts(
        name=machine["name"],
        cpus_max=machine["cpu-max"],
        hotpluggable_cpus=machine["hotpluggable-cpus"],
        deprecated=machine["deprecated"],
    )
