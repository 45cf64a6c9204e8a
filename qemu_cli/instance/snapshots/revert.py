"""``qemu snapshot revert``: a VM goes back to what it was.

With RAM, the guest goes on from there: in the QEMU that runs, if that is
still the same machine on the same images, else in a new one.  Without,
QEMU is ended, and the guest boots from the disks as they were.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from qemu_cli.errors import BusyError, RefusedError, StateError
from qemu_cli.instance import change, history, process, rotation
from qemu_cli.instance.disks.guard import check_changeable
from qemu_cli.instance.exports import held
from qemu_cli.instance.hands import Hands
from qemu_cli.instance.host import Host, pid_of, vm_facts
from qemu_cli.instance.keys import differences
from qemu_cli.instance.net import links
from qemu_cli.instance.resolve import resolve
from qemu_cli.instance.snapshots import check, create, store
from qemu_cli.instance.snapshots.create import Created
from qemu_cli.instance.snapshots.freeze import Freeze
from qemu_cli.instance.snapshots.revert_facts import Prepared, find, prepare
from qemu_cli.instance.snapshots.revert_plan import plan_revert
from qemu_cli.instance.snapshots.store import Snapshot, Tree
from qemu_cli.instance.start import start
from qemu_cli.instance.vm import VM
from qemu_cli.steps import AnyStep, Plan
from qemu_cli.steps.cable import SetLinks
from qemu_cli.steps.ram import Quit
from qemu_cli.storage import holders
from qemu_cli.units import format_duration, format_size


class Wanted(NamedTuple):
    """What a command line asks for.

    :param name: of the snapshot
    :param ram: go on from its RAM, if it has any
    :param start: boot the guest, if it does not go on
    :param stash: keep today as a snapshot first
    :param stash_name: None: it is made up
    """

    name: str
    ram: bool = True
    start: bool = False
    stash: bool = False
    stash_name: str | None = None


class Done(NamedTuple):
    """What was done, or would be, in words and as data."""

    plan: Plan
    text: str
    data: dict[str, Any]


async def revert(
    host: Host,
    vm: VM,
    wanted: Wanted,
    *,
    confirm: Callable[[str], None],
    consent: Callable[[Freeze], None],
    dry_run: bool = False,
) -> Done:
    """Go back to a snapshot of a VM.

    :param confirm: asks before anything of today is lost
    :param consent: is told for how long a running guest would stand still
        to be kept, and raises an error where that is too long
    :param dry_run: work it out, and change nothing
    :raise NotFoundError: there is no such snapshot, or it lacks a file
    :raise StateError: it can't be gone back to; says why
    :raise BusyError: somebody else is at the disks
    :raise RefusedError: QEMU could not load it
    """
    async with change.changing(host, vm.paths) as now:
        tree, snapshot = _find(now, wanted)
        await _check(host, now, snapshot)
        stash = await _plan_stash(host, now, wanted)
        if stash:
            tree = tree.with_(stash.snapshot)
        todo = await prepare(host, now, tree, snapshot)
        kept = stash and stash.snapshot.name
        if dry_run:
            return _done(now, todo, _shown(now, todo, stash), kept)
        if question := _question(now, tree, todo, stash):
            confirm(question)
        if stash:
            await create.ask(host, now, stash.snapshot, consent)
            await create.take(host, now, stash)
            host.say(f"{vm.name}: today is kept as '{kept}'")
            tree, snapshot = _find(now, wanted)
            todo = await prepare(host, now, tree, snapshot)
        with history.failure_noted(
            vm.paths, "snapshot revert", command=host.who
        ):
            todo, plan = await _go_back(host, now, tree, todo)
        history.note(
            vm.paths,
            "snapshot revert",
            command=host.who,
            snapshot=snapshot.name,
        )
        after = resolve(host.paths, vm.name, probe=host.probe)
    if todo.launch:
        facts = vm_facts(vm.paths, todo.definition, pid_of(after))
        host.hooks.after_start(facts)
    elif wanted.start and not after.alive:
        after = (await start(host, after)).vm
    return _done(after, todo, plan, kept)


async def _plan_stash(host: Host, vm: VM, wanted: Wanted) -> Created | None:
    """Work out how today is kept, if that is wanted.

    :raise StateError: it can't be; says why
    """
    if not wanted.stash:
        return None
    try:
        return await create.plan(host, vm, check.Wanted(wanted.stash_name))
    except StateError as error:
        error.hint = (
            f"'qemu snapshot create {vm.name} --external' may keep today in "
            "another way; without --stash it is lost"
        )
        raise


def _find(vm: VM, wanted: Wanted) -> tuple[Tree, Snapshot]:
    tree = store.load(vm.paths)
    snapshot = find(vm, tree, wanted.name)
    if not wanted.ram:
        snapshot = msgspec.structs.replace(snapshot, memory=None, vmstate=None)
    return tree, snapshot


async def _check(host: Host, vm: VM, snapshot: Snapshot) -> None:
    """Refuse while a change would spoil something, or can't be made."""
    held.check_not_held(vm.paths, snapshot.key, snapshot.name)
    check_changeable(vm)
    if not vm.alive:
        return
    async with host.sessions.open(vm.monitors) as session:
        jobs = await session.execute("query-jobs")
        exports = await session.execute("query-block-exports")
    going = [job["id"] for job in jobs if job["status"] != "concluded"]
    if going:
        raise BusyError(
            f"a job goes on in '{vm.name}': {', '.join(going)}",
            hint=f"'qemu job wait {vm.name}' waits for it, "
            f"'qemu job cancel {vm.name}' ends it",
        )
    if exports:
        raise BusyError(
            f"'{vm.name}' is being exported",
            hint=f"'qemu export stop {vm.name}' ends that",
        )


async def _go_back(
    host: Host, vm: VM, tree: Tree, todo: Prepared
) -> tuple[Prepared, Plan]:
    """Do it; with RAM, QEMU runs afterwards.

    :return: what was prepared last, and its plan
    """
    paths, snapshot = vm.paths, todo.snapshot
    _tell(host, vm, todo)
    said = _said(vm)
    if vm.alive and not todo.same:
        await Hands(host, paths).quit()
        _settle(host, vm)
        vm = resolve(host.paths, vm.name, probe=host.probe)
        todo = await prepare(host, vm, tree, snapshot)
    plan = await _carry_out(host, vm, todo)
    if not snapshot.memory:
        return todo, plan
    after = resolve(host.paths, vm.name, probe=host.probe)
    if todo.same and not after.alive:
        host.say(
            f"{vm.name}: QEMU could not load it, and has ended"
            f"{_last_words(vm, said)}; a new one goes on"
        )
        _settle(host, vm)
        todo = await prepare(host, after, store.load(paths), snapshot)
        plan = await _carry_out(host, vm, todo)
        after = resolve(host.paths, vm.name, probe=host.probe)
    if not after.alive:
        raise RefusedError(
            f"the RAM of '{snapshot.name}' can't be loaded"
            f"{_last_words(vm, said)}; the disks of '{vm.name}' are as they "
            "were then, and QEMU has ended",
            hint=f"'qemu start {vm.name}' boots from them",
        )
    if todo.launch:
        history.note(
            paths, "start", command=host.who, pid=pid_of(after), resumed=True
        )
    return todo, plan


async def _carry_out(host: Host, vm: VM, todo: Prepared) -> Plan:
    paths, snapshot = vm.paths, todo.snapshot
    plan = plan_revert(
        paths,
        snapshot,
        todo.facts,
        same=todo.same,
        launch=todo.launch,
        links=_links(vm, todo),
    )
    if todo.launch:
        host.hooks.before_start(vm_facts(paths, todo.definition))
        rotation.at_start(host, paths)
    files = [each.layer.file for each in todo.facts.targets]
    try:
        with holders.naming(*files):
            await change.run(host, paths, plan)
    except RefusedError as error:
        if snapshot.memory and not paths.journal.exists():
            error.hint = (
                "the disks are as they were before; --no-ram goes back to "
                "those of the snapshot alone"
            )
        raise
    return plan


def _settle(host: Host, vm: VM) -> None:
    process.remove_sockets(vm.paths)
    change.settle(host, vm.paths, command=host.who)


def _said(vm: VM) -> int:
    """How long QEMU's log is, in bytes."""
    try:
        return vm.paths.qemu_log.stat().st_size
    except OSError:
        return 0


def _last_words(vm: VM, said: int) -> str:
    """What QEMU has said since then, if it said anything."""
    words = process.last_words(vm.paths.qemu_log, said).splitlines()[-2:]
    return f" ({'; '.join(words)})" if words else ""


def _question(
    vm: VM, tree: Tree, todo: Prepared, stash: Created | None
) -> str:
    """What is going to be lost; nothing: ``""``."""
    name = todo.snapshot.name
    ends = vm.alive and not todo.same
    if stash:
        kept = f"today is kept as '{stash.snapshot.name}'"
        text = f"go back to '{name}' and end the QEMU of '{vm.name}' ({kept})"
        return text if ends else ""
    if tree.current:
        current = tree.by_key(tree.current)
        since, ago = f"'{current.name}'", time.time() - current.created_s
    else:
        created = datetime.fromisoformat(todo.definition.created)
        since, ago = "it was created", time.time() - created.timestamp()
    lost = f"all that '{vm.name}' has changed since {since}"
    size = format_size(todo.today_bytes)
    also = ", and its RAM" if vm.alive else ""
    also += ", and end its QEMU" if ends else ""
    return (
        f"go back to '{name}' and lose {lost} "
        f"({format_duration(max(ago, 1))} ago; its images take {size})"
        f"{also}"
    )


def _tell(host: Host, vm: VM, todo: Prepared) -> None:
    """Say what else comes with it."""

    def say(text: str) -> None:
        host.say(f"{vm.name}: {text}")

    targets = todo.facts.targets
    if todo.why_new:
        say(f"goes on in a new QEMU: {todo.why_new}")
    copied = [each.layer for each in targets if each.how == "copy"]
    if copied:
        size = format_size(sum(each.actual_size_bytes for each in copied))
        names = ", ".join(each.file.name for each in copied)
        say(f"copies {names} ({size}): what it holds now is needed, too")
    dropped = [name for each in targets for name in each.bitmaps]
    if todo.same:
        dropped += [name for _, name in todo.same.bitmaps]
    if dropped:
        names = ", ".join(sorted(set(dropped)))
        say(f"dirty bitmaps are dropped ({names}): the next backup is full")
    if todo.snapshot.memory:
        for each in targets:
            if each.resized:  # else it is mended at once, see revert_plan
                say(
                    f"{each.file} had another size then, and QEMU may lose "
                    "some room in it; when the VM is stopped, 'qemu image "
                    "check FILE --repair leaks' gives it back"
                )
    for line in _changes(vm, todo):
        say(f"{line}, as it was then")


def _changes(vm: VM, todo: Prepared) -> list[str]:
    """What becomes of the definition, but for the names of images."""
    lines = []
    whole = set()
    for key, (old, new) in differences(vm.definition, todo.definition).items():
        table, _, field = key.rpartition(".")
        if field == "id" and old is None:
            whole.add(table)
            lines.append(f"{new} is plugged in again")
        elif field == "id" and new is None:
            whole.add(table)
            files = {each.id: each.file for each in vm.definition.images}
            stays = f" ({files[old]} stays)" if old in files else ""
            lines.append(f"{old} is not plugged in any more{stays}")
        elif table not in whole and not key.endswith(
            (".file", ".format", "firmware.vars")
        ):
            shown = ["nothing" if v is None else v for v in (old, new)]
            lines.append("{}: {} → {}".format(key, *shown))
    return lines


def _links(vm: VM, todo: Prepared) -> SetLinks | None:
    """In the QEMU that runs a cable that was pulled stays pulled."""
    ids = [nic.id for nic in todo.definition.nics]
    pulled = links.down(vm) if todo.same else frozenset()
    up = tuple(id for id in ids if id not in pulled)
    down = tuple(id for id in ids if id in pulled)
    return SetLinks(up, down) if ids else None


def _shown(vm: VM, todo: Prepared, stash: Created | None) -> Plan:
    """The plan, with the stash and the end of the QEMU that runs."""
    plan = plan_revert(
        vm.paths,
        todo.snapshot,
        todo.facts,
        same=todo.same,
        launch=todo.launch,
        links=_links(vm, todo),
    )
    before: list[AnyStep] = []
    if stash:
        before += stash.plan.steps
    if vm.alive and not todo.same:
        before.append(Quit())
    return msgspec.structs.replace(plan, steps=(*before, *plan.steps))


def _done(vm: VM, todo: Prepared, plan: Plan, stash: str | None) -> Done:
    snapshot = todo.snapshot
    qemu = "same" if todo.same else "new" if todo.launch else None
    text = f"is back at '{snapshot.name}'"
    if qemu:
        how = "in the same QEMU" if todo.same else "in a new QEMU"
        text += f"; {vm.state}, {how}"
    elif vm.alive:
        text += "; its guest boots"
    else:
        text += f"; 'qemu start {vm.name}' boots it"
    data = {
        "snapshot": snapshot.name,
        "kind": snapshot.kind,
        "ram": snapshot.memory is not None,
        "qemu": qemu,
        "state": vm.state,
        "pid": vm.process.pid if vm.process else None,
        "stash": stash,
        "removed": [file.name for file in todo.facts.doomed],
    }
    return Done(plan, text, data)
