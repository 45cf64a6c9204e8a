"""``qemu disk move``: a disk's active layer goes into another file.

Live, that is a *mirror* (blockdev-mirror, write-blocking): QEMU copies
until both read the same, then holds the guest's writes; the definition is
written; the disk goes over to the new file, and the old one is removed.

The chain below stays where it is, unless the disk is flattened on the way.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from qemu_cli.errors import NotFoundError, StateError, UsageError
from qemu_cli.instance import change
from qemu_cli.instance.disks import edit, guard
from qemu_cli.instance.disks.chains import Layer
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.disks.move_plan import Facts, plan_move
from qemu_cli.instance.disks.room import check_room
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Disk
from qemu_cli.instance.snapshots import store
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import Plan, WriteFile
from qemu_cli.storage import dependants, header, tools


class Wish(NamedTuple):
    """Where to, and how.

    :param target: a file that is not there yet, or a directory
    :param format: None: the one that it has
    :param flatten: copy what it stands on, too
    :param keep: leave the old file where it is
    """

    target: Path
    format: str | None = None
    flatten: bool = False
    keep: bool = False


async def move(
    host: Host,
    vm: VM,
    id: str,
    wish: Wish,
    *,
    detach: bool = False,
    dry_run: bool = False,
) -> Done:
    """Move a disk into another file, on another file system if wanted.

    :param detach: leave it to QEMU, and do the rest later
    :raise UsageError: there is something at the target, or its format
        can't be
    :raise StateError: others need the old file, or its snapshots would be
        lost
    :raise JobError: QEMU could not copy it; all is as it was
    """
    paths = vm.paths
    async with change.changing(host, paths) as now:
        guard.check_changeable(now)
        definition = now.definition
        disk = guard.find(now, definition, id)
        tool = tools.find("qemu-img", host.config)
        layers = await guard.layers(paths, disk, tool=tool)
        old = Path(layers[0].file)
        await guard.check_unneeded(
            host, paths, definition, disk, [old], tool=tool
        )
        seen = await guard.live(host, now, disk)
        await _check_outer_snapshots(paths, disk, old, tool=tool)
        new = _new_disk(paths, disk, wish, old)
        target = paths.directory / new.file
        _check(disk, layers, new, wish, live=seen is not None)
        if seen and seen.active.bitmaps:
            names = ", ".join(seen.active.bitmaps)
            host.warn(f"the dirty bitmaps {names} do not move with the disk")
        here = old.stat().st_dev == target.parent.stat().st_dev
        mine = guard.is_own(paths, old) and not wish.keep
        if not here or seen or not mine:
            copied = layers if wish.flatten else layers[:1]
            check_room(host, target.parent, copied)
        fields = {"file": new.file, "format": new.format}
        edited = edit.edit(
            host, paths, lambda doc: edit.update(doc, "disks", id, fields)
        )
        facts = Facts(
            tool=tool,
            layers=layers,
            backing=_backing(old),
            seen=seen,
            define=edited.step,
            tree=_tree(paths, old, new.file),
            mine=mine,
            here=here,
        )
        plan = plan_move(paths, disk, new, facts, flatten=wish.flatten)
        return await do(
            host,
            paths,
            _done(plan, new, old, facts, detach=detach),
            action="disk move",
            files=(old, target),
            dry_run=dry_run,
            detach=detach,
        )


def _new_disk(paths: InstancePaths, disk: Disk, wish: Wish, old: Path) -> Disk:
    """The disk as it will be.

    :raise UsageError: there is something at the target
    :raise NotFoundError: its directory is missing
    """
    image_format = wish.format or disk.format
    target = wish.target.absolute()
    if target.is_dir():
        same = image_format == disk.format
        name = old.name if same else f"{old.stem}.{image_format}"
        target /= name
    if target.exists() or target.is_symlink():
        raise UsageError(
            f"there is {target} already",
            hint="name a file that is not there yet, or a directory",
        )
    if not target.parent.is_dir():
        raise NotFoundError(f"there is no directory {target.parent}")
    here = paths.directory.resolve()
    target = target.parent.resolve() / target.name
    inside = target.is_relative_to(here)
    file = str(target.relative_to(here) if inside else target)
    return msgspec.convert(
        {**msgspec.to_builtins(disk), "file": file, "format": image_format},
        Disk,
    )


def _check(
    disk: Disk, layers: Sequence[Layer], new: Disk, wish: Wish, *, live: bool
) -> None:
    """Refuse what can't be copied, or would lose something."""
    other_format = new.format != disk.format
    if len(layers) > 1 and not wish.flatten and other_format:
        raise UsageError(
            f"{disk.id} stands on {layers[1].file}; in another format it can"
            " only stand alone",
            hint="--flatten copies what it stands on, too",
        )
    if live and disk.read_only:
        raise StateError(
            f"{disk.id} is read-only: it can't be moved while it is used",
            hint="shut the VM down first",
        )
    if live:
        guard.check_no_snapshots(
            disk,
            layers[0],
            "would be lost",
            "shut the VM down, and they move with the disk; or 'qemu "
            "snapshot delete'",
        )
    elif other_format or wish.flatten:
        guard.check_no_snapshots(
            disk,
            layers[0],
            "would be lost",
            "move it as it is, without --to and --flatten; or 'qemu "
            "snapshot delete'",
        )


async def _check_outer_snapshots(
    paths: InstancePaths, disk: Disk, old: Path, *, tool: str
) -> None:
    """Refuse to move a file that external snapshots stand on."""
    for snapshot in await guard.snapshots_on(paths, old, tool=tool):
        if snapshot.kind == "external":
            raise StateError(
                f"the snapshot '{snapshot.name}' needs {old} where it is",
                hint=f"'qemu snapshot delete {paths.name} {snapshot.name}'",
            )


def _backing(file: Path) -> str | None:
    found = header.read(file)
    return found and found.backing_file


def _tree(paths: InstancePaths, old: Path, new: str) -> WriteFile | None:
    """What tells the snapshots that are in the file where it is now."""
    before = after = store.load(paths)
    wanted = dependants.identity(old)
    for snapshot in before.snapshots:
        layers = tuple(
            msgspec.structs.replace(layer, file=new)
            if dependants.identity(paths.directory / layer.file) == wanted
            else layer
            for layer in snapshot.layers
        )
        if layers != snapshot.layers:
            moved = msgspec.structs.replace(snapshot, layers=layers)
            after = after.replacing(moved)
    return None if after == before else store.write(paths, after)


def _done(
    plan: Plan, new: Disk, old: Path, facts: Facts, *, detach: bool
) -> Done:
    data = {
        "disk": new.id,
        "file": new.file,
        "format": new.format,
        "old_file": str(old),
        "old_file_stays": not facts.mine,
        "detached": detach,
    }
    text = f"{new.id} moved to {new.file}"
    if detach:
        text = f"{new.id} is being moved in the background"
    elif not facts.mine:
        text += f"; the old file stays: {old}"
    return Done(plan, text, data)
