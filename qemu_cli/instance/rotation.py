"""Keeping logs bounded: the guest decides how much it writes to one.

There is no daemon that watches.  A log is looked at when its VM is
started, and whenever a command changes the VM or reads the log.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from qemu_cli import settings
from qemu_cli.instance.host import Host
from qemu_cli.paths import InstancePaths


def aside(log: Path) -> Path:
    """Where the older part of a log is."""
    return log.with_suffix(f"{log.suffix}.1")


def at_start(host: Host, paths: InstancePaths) -> None:
    """Put large logs aside; what was put aside before is gone."""
    limit_bytes = host.config[settings.LOG_SERIAL_MAX]
    for log in (paths.serial_log, paths.qemu_log):
        if size(log) > limit_bytes:
            log.replace(aside(log))


def while_running(host: Host, paths: InstancePaths) -> None:
    """Put the serial log aside when it is over its limit.

    QEMU has it open, for appending: it is copied and emptied, and what
    the guest writes in between is lost.  The caller holds the instance's
    lock, or two would do it at once.  When there is no room for the
    copy, it is emptied all the same: the disk is about to be full.
    """
    log = paths.serial_log
    if size(log) <= host.config[settings.LOG_SERIAL_MAX]:
        return
    with suppress(OSError):
        try:
            shutil.copyfile(log, aside(log))
        except OSError:
            aside(log).unlink(missing_ok=True)
        os.truncate(log, 0)


def size(log: Path) -> int:
    """How many bytes a log has; a missing one has none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0
