"""Which accelerator: KVM where it really works, else TCG.

Decided once for an instance, when it is created or first started, and
then stored: a saved RAM state fits only the accelerator and CPU model it
was saved with.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from qemu_cli.emulator import binary as binaries
from qemu_cli.emulator import selftest
from qemu_cli.emulator.abilities import BinaryFacts
from qemu_cli.files import write_atomically
from qemu_cli.paths import Paths
from qemu_cli.proc import ProcFS

_DEVICE = Path("/dev/kvm")

#: How long a "no" of the self-test counts, in seconds: the host may have
#: been busy.  A "yes" counts until the host or the binary changes.
_NO_LASTS_S = 600.0

#: Guests that KVM runs, by the host's architecture; by default its own.
_KVM_GUESTS = {"x86_64": ("x86_64", "i386"), "ppc64le": ("ppc64",)}


class Accel(NamedTuple):
    """The accelerator that was decided on, why, and how to get KVM."""

    name: Literal["kvm", "tcg"]
    reason: str
    hint: str | None = None


class _Verdict(msgspec.Struct, frozen=True):
    """What the self-test said of one binary; ``problem`` None: KVM works."""

    identity: tuple[str, int, int]
    boot_id: str
    at_s: float  # since 1970
    problem: str | None


def cpu_model(accel: str) -> str:
    """Return the value of ``-cpu`` that goes with an accelerator.

    ``host`` with KVM, ``max`` with TCG: all that this host, or this QEMU,
    can do.  Neither is the same on another host or in another QEMU, and
    that is right for an instance, which stays where its disks are: its
    saved states are only loaded here.  Who means to migrate it says
    ``--cpu`` with a named model when it is created.
    """
    return selftest.CPU_MODELS[accel]


async def decide(
    binary: Path,
    facts: BinaryFacts,
    paths: Paths,
    *,
    device: Path = _DEVICE,
) -> Accel:
    """Decide on the accelerator of a VM whose definition says ``auto``.

    Takes no time when the cache knows; else see
    :func:`selftest.kvm_problem`.

    :param device: the host's /dev/kvm
    """
    return await _choose(binary, facts, device, paths.accelerator_cache)


async def check_kvm(
    binary: Path, facts: BinaryFacts, *, device: Path = _DEVICE
) -> Accel:
    """The same, but tested anew and not remembered: for ``doctor``."""
    return await _choose(binary, facts, device, None)


async def _choose(
    binary: Path,
    facts: BinaryFacts,
    device: Path,
    cache: Path | None,
) -> Accel:
    host = binaries.host_arch()
    if facts.arch not in _KVM_GUESTS.get(host, (host,)):
        return Accel("tcg", f"KVM on {host} runs no {facts.arch} guests")
    if "kvm" not in facts.accelerators:
        return Accel(
            "tcg",
            f"{binary} is built without KVM",
            "install a QEMU that has it; setting qemu.path says where",
        )
    if refused := _open_problem(device):
        return refused
    problem = await _kvm_problem(binary, facts.arch, cache)
    if problem is None:
        return Accel("kvm", "KVM passed the self-test")
    return Accel(
        "tcg",
        f"KVM does not really work: {problem}",
        "is this host a VM itself?  Then switch on nested virtualisation"
        " where it runs; --accel kvm uses KVM all the same",
    )


def _open_problem(device: Path) -> Accel | None:
    """Open /dev/kvm as QEMU will; return the decision when that fails."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return Accel(
            "tcg",
            f"this host has no {device}",
            "switch on virtualisation in the firmware (or, in a VM, nested"
            " virtualisation), then: modprobe kvm_intel or kvm_amd",
        )
    except PermissionError:
        return Accel(
            "tcg",
            f"{device} may not be opened: Permission denied",
            "sudo usermod -aG kvm $USER, then log in again",
        )
    except OSError as error:
        return Accel("tcg", f"{device} can't be opened: {error.strerror}")
    return None


async def _kvm_problem(
    binary: Path, arch: str, cache: Path | None
) -> str | None:
    if cache is None:
        return await selftest.kvm_problem(binary, arch)
    identity, boot_id = binaries.identity(binary), ProcFS().boot_id()
    verdicts = [
        verdict
        for verdict in _read(cache)
        if verdict.boot_id == boot_id and _counts(verdict)
    ]
    for verdict in verdicts:
        if verdict.identity == identity:
            return verdict.problem
    problem = await selftest.kvm_problem(binary, arch)
    verdicts.append(_Verdict(identity, boot_id, time.time(), problem))
    _write(cache, verdicts)
    return problem


def _counts(verdict: _Verdict) -> bool:
    # A clock that was set back makes it no older, so: not only "<".
    age_s = time.time() - verdict.at_s
    return verdict.problem is None or 0 <= age_s < _NO_LASTS_S


def _read(cache: Path) -> list[_Verdict]:
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(cache.read_bytes(), type=list[_Verdict])
    return []


def _write(cache: Path, verdicts: list[_Verdict]) -> None:
    # A cache that can't be written costs the next one a second.
    with contextlib.suppress(OSError):
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(cache, msgspec.json.encode(verdicts).decode())
