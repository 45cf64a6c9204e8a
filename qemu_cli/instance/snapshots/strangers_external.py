"""Overlays on the disks of a VM that somebody else started.

From then on its disks are other files, and whoever starts it next has to
know.  So it is only done when its owner does.
"""

import time
from pathlib import Path
from secrets import token_hex
from typing import Any

from qemu_cli.errors import RefusedError, StateError
from qemu_cli.instance import change
from qemu_cli.instance.discovery.files import outside
from qemu_cli.instance.discovery.refusal import not_ours
from qemu_cli.instance.disks import strangers
from qemu_cli.instance.disks.strangers import Disk
from qemu_cli.instance.hands import Hands
from qemu_cli.instance.host import Host
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.snapshots import check, store
from qemu_cli.instance.snapshots.check import Wanted
from qemu_cli.instance.snapshots.create import Created
from qemu_cli.instance.snapshots.parts import check_idle
from qemu_cli.instance.snapshots.store import Layer, Snapshot
from qemu_cli.instance.vm import VM
from qemu_cli.steps import Plan, Qmp
from qemu_cli.storage import graph


async def create(
    host: Host,
    vm: VM,
    wanted: Wanted,
    *,
    owner_knows: bool,
    dry_run: bool = False,
) -> Created:
    """Put overlays on the disks that the guest writes to, at one moment.

    They lie beside the images that they stand on.

    :return: has the file of each disk, for the next start
    :raise StateError: the owner does not know, or it can't be done
    """
    check.check_sense(wanted)
    _check_wanted(vm, wanted, owner_knows=owner_knows)
    async with change.attending(host, vm) as now:
        check_answers(now)
        async with (
            host.sessions.open(now.monitors) as session,
            session.exchange(),
        ):
            found = await graph.read(session)
            disks = strangers.written(now, found)
            if wanted.disks:
                disks = [strangers.find(now, found, i) for i in wanted.disks]
            await check_idle(session, now, found, [d.device for d in disks])
        if not disks:
            raise StateError(
                f"'{now.name}' has no disk that a snapshot could be taken of"
            )
        name = store.check_name(wanted.name or "overlay")
        files = {disk.id: _overlay(now, disk, name) for disk in disks}
        step = Qmp("transaction", {"actions": _actions(disks, files)})
        if not dry_run:
            await _run(host, now, step, list(files.values()))
    layers = tuple(Layer(d.id, d.file, d.active.driver) for d in disks)
    snapshot = Snapshot(name, name, "external", time.time(), layers)
    plan = Plan(f"snapshot create {vm.reference} --external", (step,))
    return Created(snapshot, plan, files)


def _check_wanted(vm: VM, wanted: Wanted, *, owner_knows: bool) -> None:
    assert vm.foreign is not None  # noqa: S101
    if wanted.ram or wanted.quiesce:
        option = "--ram" if wanted.ram else "--quiesce"
        raise StateError(
            f"{option} is for instances of yours",
            hint="an internal snapshot has the RAM",
        )
    if not owner_knows:
        raise not_ours(vm.foreign, vm.name, vm.reference, "overlay")
    if vm.process is None:
        raise StateError(
            f"the process of '{vm.name}' is not on this host: whether a file "
            "is there already, can't be seen"
        )


def _overlay(vm: VM, disk: Disk, name: str) -> str:
    """Name the overlay of a disk; QEMU would replace a file that is there."""
    path = Path(disk.file)
    if not path.is_absolute():
        raise StateError(
            f"{disk.id} of '{vm.name}' is {disk.file}: there is no place "
            "beside it for an overlay"
        )
    overlay = path.with_name(f"{path.stem}.{name}.qcow2")
    seen = outside(vm, str(overlay))
    if seen is None or seen.exists() or seen.is_symlink():
        raise StateError(
            f"{overlay} is there already",
            hint="give the snapshot another name",
        )
    return str(overlay)


def _actions(disks: list[Disk], files: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "type": "blockdev-snapshot-sync",
            "data": {
                "node-name": disk.active.name,
                "snapshot-file": files[disk.id],
                "snapshot-node-name": f"overlay-{token_hex(4)}",
                "format": "qcow2",
            },
        }
        for disk in disks
    ]


async def _run(host: Host, vm: VM, step: Qmp, files: list[str]) -> None:
    """Do it, without a journal: it is done as a whole, or not at all."""
    try:
        await step.do(Hands(host, vm.paths, vm))
    except RefusedError:
        # Nothing was switched, but what QEMU had made stays.
        for file in files:
            path = outside(vm, file)
            if path and path.is_file():
                path.unlink()
        raise
