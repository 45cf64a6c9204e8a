"""Names and logs that we keep for VMs that somebody else started.

A directory for each name; the VM's own files are never touched.  A name
belongs to one process, told by its pid, its start time and the host's
boot, and is gone with it: whoever looks next removes the directory.
"""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import QemuCliError, StateError
from qemu_cli.instance import history
from qemu_cli.instance.vm import VM
from qemu_cli.instance.vm import names as instances
from qemu_cli.paths import Paths
from qemu_cli.proc import ProcFS

_NAME_MAX = 64


class Joined(NamedTuple):
    """One name.

    :param own_name: what QEMU itself or its pid says it is called
    :param time: when it was joined, in seconds since 1970
    """

    name: str
    pid: int
    start_time: int
    boot_id: str
    own_name: str
    time: float


def read(paths: Paths) -> dict[tuple[int, int], Joined]:
    """Return all names by the pid and start time of their processes.

    Those that a killed program left unfinished are passed over.
    """
    try:
        entries = os.listdir(paths.joined)  # noqa: PTH208  one call, no objects
    except OSError:
        return {}
    found = {}
    for name in entries:
        if not name.startswith(".") and (one := _record(paths, name)):
            found[one.pid, one.start_time] = one
    return found


def _record(paths: Paths, name: str) -> Joined | None:
    try:
        text = paths.joined_record(name).read_bytes()
        return Joined(**{**json.loads(text), "name": name})
    except (OSError, ValueError, TypeError):
        return None


def living(paths: Paths, procfs: ProcFS) -> dict[tuple[int, int], Joined]:
    """Return the same, without those whose process has ended.

    They are removed, unless another command is at it.
    """
    found = read(paths)
    if not found:
        return {}
    boot_id = procfs.boot_id()
    ended = {
        key
        for key, one in found.items()
        if one.boot_id != boot_id or not _lives(procfs, one)
    }
    if ended:
        with contextlib.suppress(OSError), _locked(paths, wait=False):
            now = read(paths)
            for key in ended & now.keys():
                if now[key] == found[key]:
                    shutil.rmtree(paths.joined / now[key].name)
    return {key: one for key, one in found.items() if key not in ended}


def _lives(procfs: ProcFS, one: Joined) -> bool:
    process = procfs.process(one.pid)
    return process is not None and process.start_time == one.start_time


def join(paths: Paths, vm: VM, name: str | None, *, command: str) -> Joined:
    """Give a VM that somebody else started a name and a log.

    :param name: a valid one; None: its own, made valid and free
    :param command: what was typed, for the log
    :raise StateError: it is joined already, the name is taken, or there
        is no process here that it could be tied to
    :raise QemuCliError: the directory can't be written
    """
    if vm.foreign is None:
        raise StateError(f"'{vm.name}' is an instance of yours already")
    if vm.process is None:
        raise StateError(
            f"'{vm.name}' can't be joined: it is no process of this host",
            hint=f"'{vm.name}' is what commands take",
        )
    try:
        with _locked(paths, wait=True):
            procfs = ProcFS()
            # What has ended takes no name; we hold the lock, so by hand.
            taken = {
                one.name: one
                for one in read(paths).values()
                if one.boot_id == procfs.boot_id() and _lives(procfs, one)
            }
            one = Joined(
                name or _free_name(paths, vm, taken),
                vm.process.pid,
                vm.process.start_time,
                procfs.boot_id(),
                vm.foreign.name,
                time.time(),
            )
            _check_free(paths, one, list(taken.values()))
            _write(paths, one)
    except OSError as error:
        raise QemuCliError(
            f"{paths.joined} can't be written: {error.strerror}",
            hint="'qemu doctor' looks at permissions",
        ) from error
    history.note(
        paths.joined_stranger(one.name, one.pid, one.start_time),
        "join",
        command=command,
        pid=one.pid,
        own_name=one.own_name,
        origin=vm.origin,
    )
    return one


def _free_name(paths: Paths, vm: VM, taken: Collection[str]) -> str:
    assert vm.process and vm.foreign  # noqa: S101
    from qemu_cli.instance.names import RESERVED

    own = vm.foreign.name
    if own == f"pid:{vm.process.pid}":
        own = f"qemu-{vm.process.pid}"
    wanted = "".join(c if _is_valid(c) else "-" for c in own)
    wanted = wanted.lstrip("-._").removesuffix(".lock")[: _NAME_MAX - 4]
    if not wanted or wanted in RESERVED:
        wanted = f"qemu-{vm.process.pid}"
    used = {*taken, *instances(paths)}
    name, number = wanted, 2
    while name in used:
        name = f"{wanted}-{number}"
        number += 1
    return name


def _is_valid(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character in "._-")


def _check_free(paths: Paths, one: Joined, taken: list[Joined]) -> None:
    for other in taken:
        if (other.pid, other.start_time) == (one.pid, one.start_time):
            raise StateError(
                f"the VM with the pid {one.pid} is joined already, as "
                f"'{other.name}'",
                hint=f"'qemu leave {other.name}' undoes it",
            )
        if other.name == one.name:
            raise StateError(
                f"the name '{one.name}' belongs to another VM that was "
                f"joined (pid {other.pid})",
                hint="choose another: --name",
            )
    if one.name in instances(paths):
        raise StateError(
            f"there is an instance '{one.name}' already",
            hint="choose another: --name",
        )


def _write(paths: Paths, one: Joined) -> None:
    """Make the directory, which appears as a whole or not at all."""
    draft = paths.joined / f".{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    try:
        record = draft / paths.joined_record(one.name).name
        record.write_text(json.dumps(one._asdict()), encoding="utf-8")
        target = paths.joined / one.name
        shutil.rmtree(target, ignore_errors=True)  # of one that has ended
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_room(paths: Paths, name: str) -> None:
    """Refuse an instance the name of a VM that was joined.

    :raise StateError: it is one
    """
    for one in living(paths, ProcFS()).values():
        if one.name == name:
            raise StateError(
                f"'{name}' is what you call another VM (pid {one.pid}), "
                "which you have joined",
                hint=f"'qemu leave {name}' frees the name",
            )


def leave(paths: Paths, vm: VM) -> None:
    """Forget the name and the log of a VM; nothing else happens to it.

    :raise StateError: it has none
    """
    if not vm.joined:
        raise StateError(
            f"'{vm.name}' is not joined",
            hint="'qemu list --columns name,joined' shows which are",
        )
    try:
        with _locked(paths, wait=True):
            shutil.rmtree(paths.joined / vm.name)
    except FileNotFoundError:
        pass  # another command was first
    except OSError as error:
        raise QemuCliError(
            f"{paths.joined / vm.name} can't be removed: {error.strerror}"
        ) from error


@contextlib.contextmanager
def _locked(paths: Paths, *, wait: bool) -> Iterator[None]:
    """Hold the lock on all names.

    :raise OSError: it can't be made, or is held and we do not wait
    """
    paths.joined.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = Path(paths.joined, ".lock")
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(fd)
