"""What a command on a disk has done, or would do."""

from pathlib import Path
from typing import Any, NamedTuple

from qemu_cli.instance import change, history
from qemu_cli.instance.host import Host
from qemu_cli.instance.pid_file import read_pid
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import Plan
from qemu_cli.storage import holders


class Done(NamedTuple):
    """The plan, and the outcome in words and as data."""

    plan: Plan
    text: str
    data: dict[str, Any]


async def do(
    host: Host,
    paths: InstancePaths,
    done: Done,
    *,
    action: str,
    files: tuple[Path, ...] = (),
    dry_run: bool = False,
    detach: bool = False,
) -> Done:
    """Carry a plan out, unless it is only to be shown, and note it down.

    :param files: images that somebody else may have locked; the first is
        written to
    :param detach: leave as soon as a job runs
    :raise BusyError: somebody else has one of them
    """
    _check_free(paths, files)
    if not dry_run:
        with holders.naming(*files):
            await change.run(host, paths, done.plan, detach=detach)
        history.note(paths, action, command=host.who, **done.data)
    return done


def _check_free(paths: InstancePaths, files: tuple[Path, ...]) -> None:
    """Refuse before the first step what QEMU's locks would end in a later.

    Layers below are read by many; QEMU itself writes to its own.
    """
    own, _ = read_pid(paths.pid_file)
    for file, found in holders.of_each(files).items():
        others = [
            each
            for each in found
            if each.pid != own and (each.writes or file == files[0])
        ]
        if others:
            raise holders.busy(file, others)
