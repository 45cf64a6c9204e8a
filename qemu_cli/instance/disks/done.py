"""What a command on a disk has done, or would do."""

from pathlib import Path
from typing import Any, NamedTuple

from qemu_cli.instance import change, history
from qemu_cli.instance.host import Host
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

    :param files: images that somebody else may have locked
    :param detach: leave as soon as a job runs
    """
    if not dry_run:
        with holders.naming(*files):
            await change.run(host, paths, done.plan, detach=detach)
        history.note(paths, action, command=host.who, **done.data)
    return done
