"""Going back to a snapshot of a VM that somebody else started.

Only in the QEMU that runs: how another one would be started, nobody has
told us.  Whether it can be done is asked before: QEMU turns the disks
back first and reads the RAM then, and what goes wrong in between leaves
disks of one day and a guest of another.
"""

import time
from collections.abc import Callable
from typing import Any

from qemu_cli.errors import QemuCliError, RefusedError, StateError, UsageError
from qemu_cli.instance import change
from qemu_cli.instance.disks.done import Done
from qemu_cli.instance.hands import Hands
from qemu_cli.instance.host import Host
from qemu_cli.instance.net import links
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.snapshots import strangers
from qemu_cli.instance.snapshots.listing import Seen
from qemu_cli.instance.snapshots.revert import Wanted
from qemu_cli.instance.snapshots.strangers import Facts
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS
from qemu_cli.steps import Plan
from qemu_cli.steps.load import LoadSnapshot, changed_nothing


async def revert(
    host: Host,
    vm: VM,
    wanted: Wanted,
    *,
    owner_knows: bool = False,
    confirm: Callable[[str], None],
    dry_run: bool = False,
) -> Done:
    """Go back to a snapshot in the QEMU that runs.

    :param owner_knows: its RAM fits to this machine, though another QEMU
        wrote it
    :raise NotFoundError: there is no such snapshot
    :raise StateError: it could not be loaded; nothing was changed
    :raise RefusedError: QEMU failed; says what has become of the disks
    """
    _check_sense(wanted)
    async with change.attending(host, vm) as now:
        check_answers(now)
        facts = await strangers.gather(host, now, idle=True)
        seen = strangers.find(now, facts, wanted.name)
        _check_loadable(now, facts, seen, owner_knows=owner_knows)
        name = wanted.name
        nodes = {disk.id: disk.active.name for disk in facts.disks}
        step = LoadSnapshot(
            job_id=strangers.job_id("revert"),
            tag=name,
            vmstate=nodes[seen.snapshot.vmstate or ""],
            devices=tuple(nodes.values()),
            in_place=False,
        )
        plan = Plan(f"snapshot revert {now.reference} {name}", (step,))
        data: dict[str, Any] = {"snapshot": name, "disks": list(nodes)}
        done = Done(plan, f"back at '{name}'", data)
        if not dry_run:
            confirm(
                f"go back to '{name}' of '{now.name}', and lose what its "
                "guest has done since"
            )
            await _load(host, now, step)
    return done


async def _load(host: Host, vm: VM, step: LoadSnapshot) -> None:
    """Load it, without a journal: to load again later would be wrong."""
    hands = Hands(host, vm.paths, vm)
    cables = await links.set_again(host, vm)
    try:
        await step.do(hands)
    except RefusedError as error:
        if changed_nothing(error):
            # QEMU has stopped the guest before it looked.
            if vm.state == "running":
                await hands.execute("cont", {})
            raise
        raise RefusedError(
            f"{error}; the disks of '{vm.name}' are those of '{step.tag}' "
            "already, and its memory is of another day: it is paused",
            command="snapshot-load",
            hint=f"never resume it: that would spoil the disks; 'qemu quit "
            f"{vm.reference}' ends it, and its owner starts it afresh",
        ) from error
    await cables.do(hands)


def _check_sense(wanted: Wanted) -> None:
    for given, option in (
        (wanted.stash, "--stash"),
        (wanted.start, "--start"),
        (not wanted.ram, "--no-ram"),
    ):
        if given:
            raise UsageError(
                f"{option} is for instances of yours: how to start this VM, "
                "only its owner knows"
            )


def _check_loadable(
    vm: VM, facts: Facts, seen: Seen, *, owner_knows: bool
) -> None:
    name = seen.snapshot.name
    if seen.problem:
        raise StateError(
            f"the snapshot '{name}' of '{vm.name}' is {seen.problem}: its "
            "disks would be of different days"
        )
    if seen.snapshot.vmstate is None:
        raise StateError(
            f"the snapshot '{name}' of '{vm.name}' has no RAM: QEMU would "
            "have to be ended, and how to start it, only its owner knows",
            hint=f"'qemu shutdown {vm.reference}', then 'qemu-img snapshot "
            f"-a {name}' on each of its images, then start it",
        )
    bitmaps = [
        f"{each} of {id}" for id, names in facts.bitmaps.items()
        for each in names
    ]  # fmt: skip
    if bitmaps:
        raise StateError(
            f"'{vm.name}' has dirty bitmaps, with which QEMU loads no "
            f"snapshot: {', '.join(bitmaps)}",
            hint="they are some backup program's; the QMP command "
            "block-dirty-bitmap-remove drops them, and the next backup is "
            "full",
        )
    noted = strangers.noted(vm.paths, name)
    if noted and noted != facts.machine:
        raise StateError(
            f"the snapshot '{name}' of '{vm.name}' is of another machine: "
            f"{_difference(noted, facts.machine)}",
            hint="plug in or out what was changed since",
        )
    if not (noted or owner_knows or _is_own(vm, seen)):
        raise StateError(
            f"the snapshot '{name}' of '{vm.name}' is older than its QEMU: "
            "whether its RAM fits to this machine, nobody can tell",
            hint="if you know that QEMU was started in the same way: "
            "--owner-knows",
        )


def _is_own(vm: VM, seen: Seen) -> bool:
    """Whether it was this QEMU that wrote it: nobody else has the images."""
    if vm.process is None:
        return False
    try:
        age_s = ProcFS().uptime_s(vm.process)
    except QemuCliError:
        return False
    return seen.snapshot.created_s >= time.time() - age_s


def _difference(before: strangers.Machine, now: strangers.Machine) -> str:
    words = []
    if before.cpus != now.cpus:
        words.append(f"{now.cpus} CPUs, not {before.cpus}")
    if before.ram_bytes != now.ram_bytes:
        words.append("another amount of RAM")
    gone = [each for each in before.devices if each not in now.devices]
    more = [each for each in now.devices if each not in before.devices]
    words += [f"without {each}" for each in gone]
    words += [f"with {each}" for each in more]
    return ", ".join(words)
