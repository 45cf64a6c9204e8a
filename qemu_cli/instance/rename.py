"""Renaming an instance: its directory, and all that points into it.

The name is the directory's, so the directory is moved.  Images of other
instances may stand on images in it (linked clones): what their headers
say is rewritten first, and the move is last, so that an interruption
leaves an instance under its old name whose files nobody has lost.
"""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from qemu_cli.errors import BusyError, QemuCliError, StateError, UsageError
from qemu_cli.instance import (
    autostart,
    change,
    definitions,
    history,
    needs,
    saved,
    vm,
)
from qemu_cli.instance.discovery import joined
from qemu_cli.instance.exports import held
from qemu_cli.instance.host import Host
from qemu_cli.instance.looking import look
from qemu_cli.instance.names import check_name
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.proc import ProcFS
from qemu_cli.steps import Move, Plan, Remove, Tool
from qemu_cli.storage import qemu_img, tools
from qemu_cli.storage.dependants import Reference


async def rename(
    host: Host, source: VM, name: str, *, dry_run: bool = False
) -> Plan:
    """Give a stopped instance another name.

    :param dry_run: only work out what would be done
    :return: what was done
    :raise UsageError: it can't be called so
    :raise StateError: it runs, the name is taken, or something points
        into its directory that can't be changed
    """
    old, new = source.paths, host.paths.instance(check_name(name))
    if old.name == new.name:
        raise UsageError(f"'{old.name}' is its name already")
    joined.check_room(host.paths, new.name)
    tool = tools.find("qemu-img", host.config)
    users = {paths.name for paths, _ in await _pointing_into(host, old, tool)}
    others = [host.paths.instance(each) for each in users - {old.name}]
    async with change.changing(host, old, new, *others) as now:
        check_room(new)
        found = await _pointing_into(host, old, tool)
        if not {paths.name for paths, _ in found} <= users:
            raise BusyError(
                f"another command just made an image on one of '{old.name}'",
                hint="try again",
            )
        names = [paths.name for paths in others]
        _check_stopped([now, *look(host.paths, names, ProcFS(), host.probe)])
        _check_definitions(host, old, users)
        for paths, _ in found:
            _check_unsaved(paths, old)
        for paths in (old, *others):
            held.check_unserved(paths)
        rewrites = [
            rewrite(reference, paths, old, new, tool)
            for paths, reference in found
        ]
        plan = plan_rename(old, new, rewrites, names)
        if not dry_run:
            await change.run(host, old, plan)
            history.note(new, "rename", command=host.who, was=old.name)
            await _rename_unit(host, old, new)
    return plan


async def _rename_unit(
    host: Host, old: InstancePaths, new: InstancePaths
) -> None:
    """What starts it with the host starts it by its new name."""
    try:
        for system in autostart.enabled(old):
            unit = autostart.plan(host, new, system=system)
            await autostart.enable(host, new, unit)
            await autostart.disable(host, old)
    except (OSError, QemuCliError) as error:
        host.warn(
            f"'{new.name}' is not started with the host any more: {error}"
        )


def plan_rename(
    old: InstancePaths,
    new: InstancePaths,
    rewrites: Sequence[Tool],
    users: Collection[str],
) -> Plan:
    """The steps that rename an instance.  Pure.

    :param rewrites: what makes images point to the new place
    :param users: the other instances whose images these are
    """
    return Plan(
        f"rename {old.name} {new.name}",
        (
            *rewrites,
            Move(str(old.directory), str(new.directory)),
            Remove(str(old.runtime)),
            # Its paths are the old ones; the next start writes it anew.
            Remove(str(new.command)),
        ),
        commit=len(rewrites) + 1,
        also=(new.name, *sorted(users)),
    )


def rewrite(
    reference: Reference,
    user: InstancePaths,
    old: InstancePaths,
    new: InstancePaths,
    tool: str,
) -> Tool:
    """The step that makes an image find its backing file when it moved.

    :param user: the instance whose image it is
    :raise StateError: it can't be done
    """
    name, image = reference.name, reference.image
    if (
        name is None
        or reference.file_format is None
        or image.parent / name != reference.file  # it is spelled json:{…}
        or not within(image, user.directory)
    ):
        raise StateError(
            f"{image} needs {reference.file}, and can't be told that it moves",
            hint="make it stand alone with 'qemu-img convert', or delete it",
        )
    here = os.path.realpath(old.directory)
    inner = Path(os.path.realpath(reference.file)).relative_to(here)
    target = new.directory / inner
    moved = str(target)
    if not Path(name).is_absolute():
        moved = os.path.relpath(target, image.parent)
    return Tool(
        qemu_img.rebase_argv(
            tool, image, moved, reference.file_format, unsafe=True
        ),
        back=qemu_img.rebase_argv(
            tool, image, name, reference.file_format, unsafe=True
        ),
    )


def within(file: Path, directory: Path) -> bool:
    """Tell whether a file is in a directory, whatever links say."""
    return Path(os.path.realpath(file)).is_relative_to(
        os.path.realpath(directory)
    )


async def _pointing_into(
    host: Host, old: InstancePaths, tool: str
) -> list[tuple[InstancePaths, Reference]]:
    """What would point into the void when the directory has moved.

    With the instance whose image it is that points there.
    """
    found: dict[Reference, InstancePaths] = {}
    for name in vm.names(host.paths):
        paths = host.paths.instance(name)
        for each in await needs.references(paths, tool):
            if not within(each.file, old.directory):
                continue
            if not within(each.image, old.directory):
                found[each] = paths
            elif each.name is None or not _moves_along(each.name):
                found[each] = old
    return [(paths, reference) for reference, paths in found.items()]


def _moves_along(name: str) -> bool:
    """Whether an image spells it relative to its own directory."""
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts


def check_room(new: InstancePaths) -> None:
    """Refuse a name that is taken.

    :raise StateError: it is
    """
    if new.directory.exists():
        raise StateError(
            f"there is an instance '{new.name}' already",
            hint=f"'qemu show {new.name}' shows it",
        )


def _check_stopped(vms: Sequence[VM]) -> None:
    for each in vms:
        if each.alive:
            raise StateError(
                f"'{each.name}' is {each.state}",
                hint=f"'qemu shutdown {each.name}' first",
            )


def _check_unsaved(user: InstancePaths, old: InstancePaths) -> None:
    """Refuse to touch the images that a saved state goes with."""
    if saved.exists(user):
        raise StateError(
            f"'{user.name}' has a saved state, and its disks stand on those"
            f" of '{old.name}'",
            hint=f"start '{user.name}' and shut it down first",
        )


def _check_definitions(
    host: Host, old: InstancePaths, users: Collection[str]
) -> None:
    """Refuse when a definition spells the directory's path."""
    for name in vm.names(host.paths):
        paths = host.paths.instance(name)
        try:
            definition = definitions.load(paths.definition)
        except QemuCliError as error:
            if name in users:  # what it says of its images isn't known
                raise StateError(
                    f"'{name}' is broken, and seems to need '{old.name}': "
                    f"{error}",
                    hint=f"'qemu edit {name}' first",
                ) from error
            continue
        for what, file in definition.files.items():
            if name == old.name and not Path(file).is_absolute():
                continue  # it moves along
            if within(paths.directory / file, old.directory):
                raise StateError(
                    f"{what} of '{name}' is {file}, which would move",
                    hint=f"'qemu edit {name}' first",
                )
