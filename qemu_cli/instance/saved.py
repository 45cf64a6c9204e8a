"""``qemu save``: the guest's memory in a file, and QEMU gone.

``saved.ram`` is the memory; ``saved.json``, written last, says what it
fits to: QEMU's arguments, its version, and the disks as they were left.
A guest that goes on must find the same machine and the same disks, or it
destroys its file systems.
"""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from qemu_cli.emulator import abilities
from qemu_cli.errors import StateError
from qemu_cli.instance import change, history, process, ram
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, Plan, Qmp
from qemu_cli.steps.ram import NoteSaved, Quit, SaveRam, identity
from qemu_cli.storage import dependants, tools

#: Run states that a guest can be continued from as if nothing had been.
_SAVABLE = frozenset({"running", "paused", "io-error"})

#: Words that name a place, a descriptor or a port on the host, and the
#: part of them that the guest's machine has: the id.
_ON_HOST = re.compile(
    r"(?:socket|pipe|tap|bridge),(id=[^,]+),.*|(guest=).*|(vnc=unix:).*"
    r"|(user,id=[^,]+),hostfwd=.*"
)


class Image(msgspec.Struct, frozen=True):
    """A file that must not have changed.

    :param file: relative to the instance's directory if it is in there
    """

    name: str
    file: str
    identity: list[int] | None


class Saved(msgspec.Struct, frozen=True):
    """What the saved memory fits to.

    :param argv: see :func:`comparable`
    :param version: of QEMU
    :param running: whether the guest's CPUs ran
    """

    argv: list[str]
    version: tuple[int, int, int]
    running: bool
    images: list[Image]


class Result(NamedTuple):
    """What :func:`save` has done."""

    size_bytes: int
    seconds: float


def exists(paths: InstancePaths) -> bool:
    """Tell whether there is a saved state, which a change would spoil."""
    return paths.saved_facts.exists()


def discard(paths: InstancePaths) -> None:
    """Throw a saved state away: the next start boots."""
    paths.saved_facts.unlink(missing_ok=True)
    paths.saved_ram.unlink(missing_ok=True)


async def save(host: Host, vm: VM) -> Result:
    """Save a VM's memory and end QEMU; ``start`` goes on from there.

    :raise StateError: it does not run, or there is no room
    :raise RefusedError: QEMU can't save it; it runs on
    """
    paths = vm.paths
    started = time.monotonic()
    async with change.changing(host, paths) as now:
        plan = await plan_save(host, now)
        await change.run(host, paths, plan)
        size_bytes = paths.saved_ram.stat().st_size
        history.note(paths, "save", command=host.who, size_bytes=size_bytes)
        process.remove_sockets(paths)
        change.settle(host, paths, command=host.who)
    return Result(size_bytes, time.monotonic() - started)


async def plan_save(host: Host, vm: VM) -> Plan:
    """Work out how a VM is saved; changes nothing.

    :raise StateError: see :func:`save`
    """
    check_answers(vm)
    assert vm.process is not None  # noqa: S101
    assert vm.version is not None  # noqa: S101
    if vm.run_state not in _SAVABLE:
        raise StateError(f"'{vm.name}' can't be saved: it is {vm.run_state}")
    paths = vm.paths
    instead = "shut it down instead"
    await ram.check_movable(host, vm, instead)
    await ram.check_room(
        host, vm, paths.directory, f"make room there, or {instead}"
    )
    running = vm.state == "running"
    facts = {
        "argv": await _machine(host, vm),
        "version": vm.version,
        "running": running,
    }
    images = await _images(host, paths, vm.definition)
    steps: list[AnyStep] = [Qmp("stop", back="cont")] if running else []
    steps.append(SaveRam(str(paths.saved_ram)))
    commit = len(steps)
    steps += [Quit(), NoteSaved(str(paths.saved_facts), facts, images)]
    return Plan(f"save {paths.name}", tuple(steps), commit)


async def _machine(host: Host, vm: VM) -> list[str]:
    """The words of the machine that is saved, with what was plugged in."""
    from qemu_cli.instance.snapshots import machine  # it uses this module

    assert vm.process is not None  # noqa: S101
    argv, definition = vm.process.argv, vm.definition
    defined = machine.argv_of(host, vm.paths, definition, argv[0])
    words = machine.words(defined)
    if await machine.difference(host, vm, definition, words):
        return comparable(argv)  # the next start says what it is
    return comparable(defined)


def load(paths: InstancePaths) -> Saved | None:
    """Read what a saved state fits to; None: nothing is saved.

    :raise StateError: the files are damaged
    """
    try:
        text = paths.saved_facts.read_bytes()
    except FileNotFoundError:
        return None
    try:
        saved = msgspec.json.decode(text, type=Saved)
    except msgspec.MsgspecError as error:
        raise _refusal(paths, f"{paths.saved_facts}: {error}") from error
    if not paths.saved_ram.exists():
        raise _refusal(paths, f"{paths.saved_ram} is missing")
    return saved


async def check(
    host: Host, paths: InstancePaths, saved: Saved, argv: Sequence[str]
) -> None:
    """Refuse to go on when what is around the memory has changed.

    :param argv: that QEMU would be started with
    :raise StateError: says what has changed
    """
    for image in saved.images:
        file = paths.directory / image.file
        if identity(file) != image.identity:
            raise _refusal(
                paths, f"{image.name} has changed since it was saved: {file}"
            )
    # QEMU finds the parts of a state by name, in whatever order.
    if what := difference(sorted(comparable(argv)), sorted(saved.argv)):
        raise _refusal(
            paths, f"its definition has changed since it was saved: {what}"
        )
    if versions := await too_old(host, argv, saved.version):
        raise _refusal(paths, f"it was saved by {versions}")


def difference(now: Sequence[str], then: Sequence[str]) -> str:
    """Name the first difference of two machines; empty: there is none.

    :param now: words of a command line, see :func:`comparable`
    """
    new = [word for word in now if word not in then]
    old = [word for word in then if word not in now]
    if old:
        return f"no more {old[0]}"
    if new:
        return f"now {new[0]}"
    return "" if list(now) == list(then) else "in another order"


async def too_old(
    host: Host, argv: Sequence[str], version: tuple[int, int, int]
) -> str:
    """Name both QEMUs if one can't take the other's state; else empty.

    A newer QEMU takes the state of an older one: that is what the
    versioned machine type is for.

    :param argv: of the QEMU that would take it
    :param version: of the one that made it
    """
    facts = await abilities.load(Path(argv[0]), host.paths)
    if facts.version >= version:
        return ""
    then, now = (".".join(map(str, v)) for v in (version, facts.version))
    return f"QEMU {then}, and this is QEMU {now}"


def comparable(argv: Sequence[str]) -> list[str]:
    """Return the words of a command line that make the machine.

    Not the executable's name, not how it starts, no sockets and nothing
    of the instance's name and place: it may be renamed.
    """
    directory = Path(argv[argv.index("-pidfile") + 1]).parent
    words = []
    for word in argv[1:]:
        if word in ("-S", "-incoming", "defer"):
            continue
        if match := _ON_HOST.fullmatch(word):
            word = match[match.lastindex or 0]
        words.append(word.replace(f"{directory}/", "./"))
    return words


def _refusal(paths: InstancePaths, why: str) -> StateError:
    return StateError(
        f"'{paths.name}' can't go on from what was saved: {why}",
        hint=f"undo that change, or boot without what was saved: 'qemu start "
        f"{paths.name} --discard-saved'",
    )


async def _images(
    host: Host, paths: InstancePaths, definition: Definition
) -> dict[str, str]:
    """All files that the guest's disks consist of, by name."""
    tool = tools.find("qemu-img", host.config)
    found: dict[str, str] = {}
    for image in definition.images:
        top, *backing = await dependants.backing_chain(
            tool, paths.directory / image.file, format=image.format
        )
        found[image.id] = str(top)
        for file in backing:
            found[f"{image.id}'s backing file {file.name}"] = str(file)
    for cdrom in definition.cdroms:
        if cdrom.file:
            found[cdrom.id] = str(paths.directory / cdrom.file)
    return found
