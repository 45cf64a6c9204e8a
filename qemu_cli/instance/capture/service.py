"""Capturing a running machine: what is asked, and what is made of it.

Nothing of the process is changed, and no image is opened: its command line
is read from /proc, and its monitor is asked where nobody holds it.
"""

import os
import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from qemu_cli.emulator import abilities, binary
from qemu_cli.errors import QemuCliError, StateError, UsageError
from qemu_cli.instance import definitions, facts
from qemu_cli.instance.capture import (
    disks,
    live,
    machine,
    nics,
    places,
    ports,
    rest,
    words,
)
from qemu_cli.instance.capture.draft import Draft, Note
from qemu_cli.instance.capture.ground import Ground
from qemu_cli.instance.capture.live import Device, Live
from qemu_cli.instance.capture.words import Option
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS
from qemu_cli.proc.view import View, read

_NO_UUID = "00000000-0000-0000-0000-000000000000"

#: Names of drivers that stand for others (system/qdev-monitor.c).
_ALIASES = {"ahci": "ich9-ahci", "lsi": "lsi53c895a"}


class Captured(NamedTuple):
    """A definition, and what it does not say.

    :param text: of the file
    :param asked: whether its monitor was; else only its command line is
        known
    """

    definition: Definition
    text: str
    notes: tuple[Note, ...]
    asked: bool


async def capture(host: Host, vm: VM) -> Captured:
    """Make a definition of a running machine.

    :raise StateError: it does not run, not on this host, or ends meanwhile
    """
    process = vm.process
    if process is None:
        raise StateError(
            f"'{vm.name}' can't be captured: "
            + ("it is no process of this host" if vm.alive else vm.state)
        )
    told, why_not = await _ask(host, vm)
    procfs = ProcFS()
    view = View(procfs, process.pid)
    absolute = where(view, process.argv)
    options = words.read(
        process.argv, lambda path: read(view.path(absolute(path)))
    )
    draft = Draft(options)
    ground = await _ground(host, view, process.argv, told)
    surroundings(draft, ground, view, why_not)
    definition = make(draft, ground)
    now = procfs.process(process.pid)
    if now is None or now.start_time != process.start_time:
        raise StateError(f"'{vm.name}' has ended meanwhile")
    text = definitions.render(definition)
    definitions.parse(text, source="what was captured")
    return Captured(definition, text, tuple(draft.notes), told is not None)


def surroundings(
    draft: Draft, ground: Ground, view: View, why_not: str
) -> None:
    """Note what could not be seen of a process.

    :param why_not: why its monitor was not asked
    """
    if ground.live is None:
        draft.differs(
            "its monitor",
            f"it could not be asked ({why_not}): this is what the command "
            "line says; what has changed since is not known",
        )
    if view.shares_files is False:
        draft.differs(
            "its files",
            "it runs in another mount namespace: paths are its own",
        )
    if not ground.absolute("x").startswith("/"):
        draft.differs(
            "its directory",
            "it may not be looked at: relative paths are left as they were",
        )


async def _ask(host: Host, vm: VM) -> tuple[Live | None, str]:
    """Ask its monitor; None: it can't be, and why."""
    if vm.foreign and vm.foreign.access.word != "free":
        access = vm.foreign.access
        word = "it is held" if access.word == "held" else access.word
        return None, access.reason or word
    if vm.state == "unresponsive":
        return None, vm.reason
    try:
        async with host.sessions.open(vm.monitors) as session:
            return await live.ask(session), ""
    except QemuCliError as error:
        return None, str(error)


async def _ground(
    host: Host, view: View, argv: Sequence[str], told: Live | None
) -> Ground:
    arch = facts.from_argv(argv).arch or binary.host_arch()
    known = None
    if told is None:
        try:
            qemu = binary.find(arch, host.config)
            known = await abilities.load(qemu, host.paths)
        except QemuCliError:
            known = None

    def resolve(name: str) -> str | None:
        try:
            return known.machine(name).name if known else None
        except UsageError:
            return None

    absolute = where(view, argv)

    def searched(text: str) -> str:
        path = absolute(text)
        return path if os.path.exists(path) else text  # noqa: PTH110

    return Ground(arch, absolute, searched, resolve, told)


def where(view: View, argv: Sequence[str]) -> Callable[[str], str]:
    """Return what makes its paths absolute; they stay as it has them.

    :param argv: of the process
    """
    directory = view.directory()
    if "-daemonize" in argv or "--daemonize" in argv:
        directory = view.first_directory()  # it is in / now

    def absolute(path: str) -> str:
        if path.startswith("/") or not directory:
            return path
        return os.path.normpath(f"{directory}/{path}")

    return absolute


def make(draft: Draft, ground: Ground) -> Definition:
    """Turn the words of a command line into a definition.  Pure.

    But for the time, which is now.
    """
    if ground.live:
        draft.nameless = _nameless(draft.options, ground.live)
    board = machine.machine(draft, ground)
    if ground.live is None:
        draft.nameless = places.places(draft.options, board.type)
        draft.differs(
            "places on the PCI bus",
            "QEMU was not asked: they are worked out from the order of words"
            if draft.nameless
            else "QEMU was not asked: a guest may find devices elsewhere",
        )
    own_disks = disks.disks(draft, ground, board.type)
    own_nics = nics.nics(draft, ground)
    ports.ports(draft)
    ports.defaults(draft, board.type)
    shown = rest.display(draft)
    boot = rest.boot(draft, ground)
    rest.rest(draft, ground)
    _plugged(draft, ground.live)
    return Definition(
        uuid=_uuid(draft, ground),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        profile="bare",
        arch=ground.arch,
        machine=board,
        boot=boot,
        disks=own_disks.disks,
        cdroms=own_disks.cdroms,
        nics=own_nics,
        display=shown,
        qemu_args=draft.args,
    )


def _uuid(draft: Draft, ground: Ground) -> str:
    said = [o.value or "" for o in draft.options if o.name == "uuid"]
    if ground.live:
        said.append(ground.live.uuid)
    return said[-1].lower() if said else _NO_UUID


def _nameless(options: Sequence[Option], told: Live) -> dict[int, Device]:
    """Match options without an id and devices, which have kept the order."""
    devices = [each for each in told.devices if not each.id]
    found = {}
    for option in options:
        if option.name != "device" or option.get("id"):
            continue
        for device in devices:
            if _is(device.driver, option.get("driver")):
                found[option.number] = device
                devices.remove(device)
                break
    return found


def _is(driver: str, said: str) -> bool:
    said = _ALIASES.get(said, said)
    return driver == said or bool(
        re.fullmatch(rf"{re.escape(said)}-(pci|ccw|device)", driver)
    )


def _plugged(draft: Draft, told: Live | None) -> None:
    """Note what was plugged in after the start."""
    said = {option.get("id") for option in draft.options}
    known = {device.path for device in draft.nameless.values()}
    for device in told.devices if told else ():
        if not device.properties.get("hotplugged"):
            continue
        if device.id in said - {""} or device.path in known:
            continue
        what = f"the device {device.driver} {device.id}".rstrip()
        draft.differs(what, "it was plugged in after the start: left out")
