"""Snapshots of a VM that somebody else started: those in its images.

It has no definition, and no tree of ours: QEMU says what there is, and
does all of it.  What goes wrong leaves that QEMU as it is, for it is not
ours to end.
"""

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from qemu_cli import settings
from qemu_cli.errors import NotFoundError, StateError, UsageError
from qemu_cli.instance import change, ram
from qemu_cli.instance.discovery.files import outside
from qemu_cli.instance.disks.done import Done
from qemu_cli.instance.disks.strangers import Disk, written
from qemu_cli.instance.host import Host
from qemu_cli.instance.looking import in_run_state
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.snapshots import check, store
from qemu_cli.instance.snapshots.check import Wanted
from qemu_cli.instance.snapshots.create import Created
from qemu_cli.instance.snapshots.freeze import Freeze, estimate
from qemu_cli.instance.snapshots.listing import Found, Seen
from qemu_cli.instance.snapshots.parts import check_idle
from qemu_cli.instance.snapshots.store import Layer, Memory, Snapshot, Tree
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, MakeDirectory, Plan, Remove, WriteFile
from qemu_cli.steps.load import DropTag
from qemu_cli.steps.snapshot import SaveSnapshot
from qemu_cli.storage import graph
from qemu_cli.suggest import did_you_mean

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session

_QCOW2 = "qcow2"


class Machine(msgspec.Struct, frozen=True):
    """What a RAM fits to, as far as a running QEMU tells.

    :param devices: places of those that were plugged in (QOM)
    """

    cpus: int
    ram_bytes: int
    devices: list[str]


class Facts(NamedTuple):
    """What QEMU says.

    :param disks: those that its guest can write to, its UEFI variables
        included
    :param tags: by a disk's id what its image has, by name (QAPI
        SnapshotInfo)
    :param bitmaps: names of dirty bitmaps, by a disk's id
    :param run_state: QAPI RunState
    """

    disks: tuple[Disk, ...]
    tags: Mapping[str, Mapping[str, Mapping[str, Any]]]
    bitmaps: Mapping[str, tuple[str, ...]]
    machine: Machine
    run_state: str


async def gather(host: Host, vm: VM, *, idle: bool = False) -> Facts:
    """Ask QEMU.

    :param idle: refuse while something goes on with the disks
    :raise BusyError: a job or an export does
    """
    async with (
        host.sessions.open(vm.monitors) as session,
        session.exchange(),
    ):
        found = await graph.read(session)
        nodes = await session.execute(
            "query-named-block-nodes", {"flat": True}
        )
        disks = written(vm, found, firmware=True)
        if idle:
            await check_idle(session, vm, found, [d.device for d in disks])
        machine = await _machine(session)
        status = await session.execute("query-status")
    images = {node["node-name"]: node["image"] for node in nodes}
    return Facts(
        disks=tuple(disks),
        tags={
            disk.id: {
                each["name"]: each
                for each in images[disk.active.name].get("snapshots", ())
            }
            for disk in disks
        },
        bitmaps={disk.id: disk.active.bitmaps for disk in disks},
        machine=machine,
        run_state=str(status["status"]),
    )


async def _machine(session: "Session") -> Machine:
    cpus = await session.execute("query-cpus-fast")
    memory = await session.execute("query-memory-size-summary")
    devices = []
    for place in ("/machine/peripheral", "/machine/peripheral-anon"):
        for each in await session.execute("qom-list", {"path": place}):
            if each["type"].startswith("child<"):
                kind = each["type"][len("child<") : -1]
                devices.append(f"{place}/{each['name']} ({kind})")
    ram_bytes = memory["base-memory"] + memory.get("plugged-memory", 0)
    return Machine(len(cpus), ram_bytes, sorted(devices))


async def look(host: Host, vm: VM) -> Found:
    """Look at all snapshots, oldest first.

    :raise QemuCliError: it can't be asked
    """
    facts = await gather(host, vm)
    names = {name for tags in facts.tags.values() for name in tags}
    seen = [_seen(vm, facts, name) for name in names]
    seen.sort(key=lambda each: (each.snapshot.created_s, each.snapshot.name))
    return Found(Tree(), tuple(seen), kept=False)


def _seen(vm: VM, facts: Facts, name: str) -> Seen:
    has = [disk for disk in facts.disks if name in facts.tags[disk.id]]
    lacking = [disk.id for disk in facts.disks if disk not in has]
    tags = {disk.id: facts.tags[disk.id][name] for disk in has}
    sizes = {id: int(tag["vm-state-size"]) for id, tag in tags.items()}
    vmstate = next((id for id, size in sizes.items() if size), None)
    snapshot = Snapshot(
        name=name,
        key=name,
        kind="internal",
        created_s=min(map(_date_s, tags.values())),
        layers=tuple(
            Layer(disk.id, disk.file, disk.active.driver) for disk in has
        ),
        comment=_comment(vm.paths, name),
        vmstate=vmstate,
    )
    size_bytes = sizes.get(vmstate or "")
    problem = f"not on {', '.join(lacking)}" if lacking else ""
    return Seen(snapshot, size_bytes, size_bytes or 0, False, problem)


async def save(
    host: Host,
    vm: VM,
    wanted: Wanted,
    *,
    consent: Callable[[Freeze], None],
    dry_run: bool = False,
) -> Created:
    """Take an internal snapshot, with the RAM.

    :param consent: see :func:`~qemu_cli.instance.snapshots.create.create`
    :raise StateError: it can't be taken; says why
    :raise BusyError: a job or an export is at the disks
    """
    check.check_sense(wanted)
    async with change.attending(host, vm) as now:
        check_answers(now)
        facts = await gather(host, now, idle=True)
        # Another client may have held its monitor until now.
        now = in_run_state(now, facts.run_state)
        check.check_state(now, wanted)
        _check_formats(now, facts.disks)
        await ram.check_movable(host, now, "QEMU can write it to no snapshot")
        tags = frozenset(name for each in facts.tags.values() for name in each)
        name = wanted.name or store.made_up_name(Tree(), tags)
        store.check_name(name)
        if name in tags:
            raise StateError(
                f"'{now.name}' has a snapshot '{name}' already",
                hint="give this one another name, or delete that one",
            )
        first = facts.disks[0]
        if file := outside(now, first.file):
            await ram.check_room(host, now, file.parent, "make room there")
        nodes = tuple(disk.active.name for disk in facts.disks)
        plan = Plan(
            f"snapshot create {now.reference} {name}",
            (
                *_note(now.paths, name, wanted.comment, facts.machine),
                SaveSnapshot(job_id("save"), name, nodes[0], nodes, ()),
            ),
        )
        layers = tuple(
            Layer(disk.id, disk.file, disk.active.driver)
            for disk in facts.disks
        )
        snapshot = Snapshot(
            *(name, name, "internal", 0.0, layers), comment=wanted.comment
        )
        if dry_run:
            return Created(snapshot, plan)
        if now.state == "running":
            limit_s = host.config[settings.SNAPSHOT_MAX_FREEZE]
            consent(await estimate(host, now, limit_s))
        started = time.monotonic()
        await change.run_on(host, now, plan)
        seconds = time.monotonic() - started
        done = _seen(now, await gather(host, now), name)
    memory = Memory(
        argv=[],
        version=now.version or (0, 0, 0),
        running=now.state == "running",
        size_bytes=done.ram_bytes or 0,
        seconds=round(seconds, 3),
    )
    snapshot = msgspec.structs.replace(done.snapshot, memory=memory)
    return Created(snapshot, plan)


async def delete(
    host: Host,
    vm: VM,
    names: Sequence[str],
    *,
    confirm: Callable[[str], None],
    dry_run: bool = False,
) -> Done:
    """Delete snapshots.

    :raise NotFoundError: there is no such snapshot
    """
    if not names:
        raise UsageError("no snapshot named")
    async with change.attending(host, vm) as now:
        check_answers(now)
        facts = await gather(host, now, idle=True)
        steps: list[AnyStep] = []
        for name in dict.fromkeys(names):
            find(now, facts, name)
            nodes = [
                disk.active.name
                for disk in facts.disks
                if name in facts.tags[disk.id]
            ]
            steps += [
                DropTag(job_id("delete"), name, tuple(nodes), ()),
                Remove(str(note_of(now.paths, name))),
            ]
        which = ", ".join(f"'{name}'" for name in dict.fromkeys(names))
        plan = Plan(f"snapshot delete {now.reference}", tuple(steps), commit=0)
        done = Done(plan, f"{which} deleted", {"deleted": list(names)})
        if not dry_run:
            confirm(f"delete the snapshot {which} of '{now.name}'")
            await change.run_on(host, now, plan)
    return done


def find(vm: VM, facts: Facts, name: str) -> Seen:
    """Find a snapshot by its name.

    :raise NotFoundError: there is none
    """
    known = {each for tags in facts.tags.values() for each in tags}
    if name not in known:
        raise NotFoundError(
            f"'{vm.name}' has no snapshot '{name}'",
            hint=did_you_mean(name, known)
            or f"it has {', '.join(sorted(known)) or 'none'}",
        )
    return _seen(vm, facts, name)


def _date_s(tag: Mapping[str, Any]) -> float:
    return float(tag["date-sec"] + tag["date-nsec"] / 1e9)


def _check_formats(vm: VM, disks: Sequence[Disk]) -> None:
    if not disks:
        raise StateError(
            f"'{vm.name}' has no disk that a snapshot could be taken of"
        )
    others = [disk for disk in disks if disk.active.driver != _QCOW2]
    if others:
        named = ", ".join(f"{d.id} is {d.active.driver}" for d in others)
        raise StateError(
            f"no internal snapshot of '{vm.name}' can be taken: {named}, and "
            "only qcow2 images have room for one"
        )


def note_of(paths: InstancePaths, name: str) -> Path:
    """Name the file in which we note what a snapshot's RAM fits to."""
    # Others may have called theirs anything.
    return paths.snapshots / f"{sha256(name.encode()).hexdigest()[:32]}.json"


def job_id(what: str) -> str:
    """Make up the id of a job that nobody has had: some are left over."""
    return f"{what}-{token_hex(4)}"


def _note(
    paths: InstancePaths, name: str, comment: str, machine: Machine
) -> list[AnyStep]:
    note = {"machine": msgspec.to_builtins(machine), "comment": comment}
    text = json.dumps(note, ensure_ascii=False) + "\n"
    return [
        MakeDirectory(str(paths.snapshots)),
        WriteFile(str(note_of(paths, name)), text, mode=0o600),
    ]


def noted(paths: InstancePaths, name: str) -> Machine | None:
    """Return what a snapshot's RAM fits to; None: not taken by us."""
    with contextlib.suppress(OSError, ValueError, LookupError):
        note = json.loads(note_of(paths, name).read_text())
        return msgspec.convert(note["machine"], Machine)
    return None


def _comment(paths: InstancePaths, name: str) -> str:
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        note = json.loads(note_of(paths, name).read_text())
        return str(note["comment"])
    return ""
