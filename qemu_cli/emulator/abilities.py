"""What a QEMU binary can do.

It is asked, once, and the answer is cached until the file changes; nothing
is guessed from a version number.
"""

import contextlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from qemu_cli.emulator.bare_qemu import BareQemu, bare_qemu
from qemu_cli.emulator.binary import identity
from qemu_cli.errors import RefusedError, UsageError
from qemu_cli.files import write_atomically
from qemu_cli.paths import Paths
from qemu_cli.suggest import did_you_mean


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

    def check_cpu(self, model: str) -> None:
        """Check that ``-cpu`` takes this model, whatever its features.

        :raise UsageError: when there is none; the nearest is named
        """
        name = model.partition(",")[0]
        # A binary that can't list its models has none here.
        if self.cpu_models and name not in {*self.cpu_models, "host"}:
            raise UsageError(
                f"QEMU for {self.arch} has no CPU model '{name}'",
                hint=did_you_mean(name, self.cpu_models)
                or f"the list: qemu-system-{self.arch} -cpu help",
            )


class _Cached(msgspec.Struct, frozen=True):
    identity: tuple[str, int, int]
    facts: BinaryFacts


async def load(binary: Path, paths: Paths) -> BinaryFacts:
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
