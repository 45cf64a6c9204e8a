"""The QEMUs of this host that are no instances of ours.

One pass over /proc; processes come and go meanwhile, and may be another
user's.  What can't be seen is left out of the record, and nothing here
raises for one process's sake.
"""

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from qemu_cli.hookfacts import ProcessFacts
from qemu_cli.proc import Process, ProcFS

if TYPE_CHECKING:
    from qemu_cli.instance.discovery.access import Access
    from qemu_cli.instance.discovery.argv import Monitor
    from qemu_cli.proc.view import View

#: The kinds of process, and what their programs are called.
KINDS = {
    "system": r"\.?qemu-system-.*|qemu-kvm|kvm",
    "storage-daemon": r"qemu-storage-daemon",
    "nbd": r"qemu-nbd",
}

#: What the executable of a QEMU may be called: ld.so(8) can run it too.
_PROGRAM = r"ld[-.].*|.*(?:qemu|kvm).*"


class Foreign(NamedTuple):
    """A QEMU that somebody else started.

    :param kind: one of :data:`KINDS`
    :param origin: the program that it belongs to, or ``hand``
    :param user: the name of its user, if that is not ours
    :param process: None: it is not on this host, or not to be seen
    :param monitors: all that its command line has
    :param access: which monitor can be asked
    :param holder: the client that its monitor serves, where we may see it
    """

    process: Process | None
    kind: str
    name: str
    uuid: str
    origin: str
    user: str | None
    monitors: "tuple[Monitor, ...]"
    access: "Access"
    holder: Process | None = None


def find(
    procfs: ProcFS,
    *,
    skip: Callable[[Process], bool] = lambda process: False,
    all_kinds: bool = False,
    label: Callable[[ProcessFacts], str | None] = lambda facts: None,
) -> list[Foreign]:
    """Find them all, sorted by origin, name and pid.

    :param skip: tells which are known already
    :param all_kinds: also what runs no VM: daemons, see :data:`KINDS`
    :param label: asks plug-ins whose a process is
    """
    looks = (
        _look(procfs, process, kind, label)
        for kind in (KINDS if all_kinds else ("system",))
        for process in procfs.processes(re.compile(KINDS[kind]))
        if not skip(process)
    )
    found = [one for one in looks if one]
    found = _with_holders(procfs, found)
    return sorted(
        found, key=lambda one: (one.origin, one.name, one.process or ())
    )


def look_again(procfs: ProcFS, known: Foreign) -> Foreign | None:
    """Look at one again; None: it has ended."""
    was = known.process
    process = procfs.process(was.pid) if was else None
    if not was or not process or process.start_time != was.start_time:
        return None
    now = _look(procfs, process, known.kind, lambda facts: known.origin)
    return _with_holders(procfs, [now])[0] if now else None


def _look(
    procfs: ProcFS,
    process: Process,
    kind: str,
    label: Callable[[ProcessFacts], str | None],
) -> Foreign | None:
    # Imported when there is one: `list` looks for them at each run.
    from qemu_cli.instance.discovery import argv
    from qemu_cli.instance.discovery.access import access
    from qemu_cli.instance.discovery.origin import HAND, origin
    from qemu_cli.proc.view import View, read

    pid = process.pid
    program = procfs.executable_name(pid)
    if program and not re.fullmatch(_PROGRAM, program):
        return None  # it only calls itself so
    view = View(procfs, pid)
    line = argv.parse(process.argv, lambda path: read(view.path(path)))
    whose = origin(process.argv, view.text("cgroup") or "")
    if whose == HAND:
        whose = label(ProcessFacts(pid, process.argv)) or HAND
    return Foreign(
        process,
        kind,
        line.name or f"pid:{pid}",
        line.uuid,
        whose,
        _user(view),
        line.monitors,
        access(view, line),
    )


def _user(view: "View") -> str | None:
    if view.own is not None and os.getuid():
        return None  # only our own processes let us see their files
    user_id = view.user_id()
    if user_id is None or user_id == os.getuid():
        return None
    import pwd

    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)


def _with_holders(procfs: ProcFS, found: list[Foreign]) -> list[Foreign]:
    """Find who holds the monitors, in one pass for all of them."""
    clients = {one.access.client for one in found} - {None}
    if not clients:
        return found
    owners = procfs.owners({inode for inode in clients if inode})
    return [
        one._replace(holder=owners.get(one.access.client or 0))
        for one in found
    ]
