"""Can a snapshot be taken?  What can't, and what to do instead."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from qemu_cli.errors import StateError, UsageError
from qemu_cli.instance import saved
from qemu_cli.instance.exports import held
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.snapshots.parts import Part
from qemu_cli.instance.snapshots.store import Tree
from qemu_cli.instance.vm import VM

#: Run states in which a guest can be kept, to go on from there as if
#: nothing had been.
_KEEPABLE = frozenset({"running", "paused", "prelaunch", "io-error"})


class Wanted(NamedTuple):
    """What a command line asks for.

    :param name: None: one is made up
    :param external: overlays, instead of snapshots inside the images
    :param ram: with ``external``: the RAM of a running VM, too
    :param quiesce: freeze the guest's file systems for the moment
    :param disks: with ``external``: ids; none: all that are written to
    """

    name: str | None = None
    comment: str = ""
    external: bool = False
    ram: bool = False
    quiesce: bool = False
    disks: tuple[str, ...] = ()


def check_sense(wanted: Wanted) -> None:
    """Refuse what can't be combined, before anything is looked at.

    :raise UsageError: says what
    """
    if wanted.disks and not wanted.external:
        raise UsageError(
            "an internal snapshot is always of all disks",
            hint="--external --disk takes some of them",
        )
    if wanted.ram and not wanted.external:
        raise UsageError(
            "--ram is for --external: an internal snapshot of a running VM "
            "always has the RAM"
        )
    if wanted.ram and wanted.disks:
        raise UsageError("RAM goes with all disks: --ram or --disk, not both")
    if wanted.quiesce and (wanted.ram or not wanted.external):
        raise UsageError(
            "--quiesce is for disks without RAM: a guest that is gone back "
            "to with its RAM would still be frozen",
            hint="--external --quiesce",
        )


def check_state(vm: VM, wanted: Wanted) -> None:
    """Refuse to take a snapshot of what is about to change.

    :raise StateError: says why
    """
    if saved.exists(vm.paths):
        raise StateError(
            f"'{vm.name}' has a saved state, which goes with its disks as "
            "they are",
            hint=f"'qemu start {vm.name}' goes on from it, and then a "
            "snapshot has its memory, too",
        )
    if not vm.alive:
        held.check_unused(vm.paths)
        if wanted.ram or wanted.quiesce:
            what = "--ram" if wanted.ram else "--quiesce"
            raise StateError(
                f"'{vm.name}' does not run: there is nothing for {what}"
            )
        return
    check_answers(vm)
    if wanted.ram and vm.state == "paused":
        raise StateError(
            f"'{vm.name}' is paused: QEMU lets go of the disks when it has "
            "written the RAM to a file, until the guest goes on",
            hint=f"'qemu resume {vm.name}' first, or take an internal "
            "snapshot, which has the RAM as well",
        )
    if not wanted.external and vm.run_state not in _KEEPABLE:
        raise StateError(
            f"no snapshot of '{vm.name}' with its RAM can be taken: it is "
            f"{vm.run_state}",
            hint=f"'qemu resume {vm.name}' first, or take the disks alone: "
            "--external",
        )


def check_free(tree: Tree, name: str, tags: Collection[str]) -> None:
    """Refuse a name that is taken.

    :param tags: names of internal snapshots that the images have
    :raise StateError: it is
    """
    if any(each.name == name for each in tree.snapshots):
        raise StateError(f"there is a snapshot '{name}' already")
    keys = {each.key for each in tree.snapshots}
    if name in tags and name not in keys:
        raise StateError(
            f"the images have a snapshot '{name}' already, made by another "
            "program"
        )


def check_parts(vm: VM, parts: Sequence[Part], wanted: Wanted) -> None:
    """Refuse what the images have no room for.

    :raise StateError: says what to do instead
    """
    instead = "--external --ram" if vm.alive else "--external"
    if not parts and not wanted.ram:
        hint = None
        if vm.alive and not wanted.external:
            hint = f"{instead} keeps the RAM in a file"
        raise StateError(
            f"'{vm.name}' has no disk that a snapshot could be taken of",
            hint=hint,
        )
    others = [part for part in parts if part.format != "qcow2"]
    if others and not wanted.external:
        named = ", ".join(f"{part.id} is {part.format}" for part in others)
        raise StateError(
            f"no internal snapshot of '{vm.name}' can be taken: {named}, and "
            "only qcow2 images have room for one",
            hint=f"{instead} puts overlays on the disks instead",
        )
