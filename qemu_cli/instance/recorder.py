"""The recorder: a monitor whose only client is a file.

QEMU itself writes every event there, with nobody running: how a run ended
is known afterwards.  The chardev is a ``pipe`` pair: the ``.in`` side is a
FIFO that holds ``qmp_capabilities``, the ``.out`` side a regular file.
(``-chardev file`` would do the same, and take a whole CPU.)
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qemu_cli.paths import InstancePaths

_ONLY_COMMAND = b'{"execute":"qmp_capabilities"}\n'

#: How much of the file's end is searched for the last SHUTDOWN.
_TAIL_BYTES = 16384


def prepare(paths: InstancePaths) -> int:
    """Make the pair new for a start.

    :return: the FIFO's descriptor; to be closed when QEMU has it open
    :raise OSError: the directory can't be written, or the disk is full
    """
    paths.events_in.unlink(missing_ok=True)
    os.mkfifo(paths.events_in, 0o600)
    paths.events_out.unlink(missing_ok=True)
    paths.events_out.touch(0o600)
    # Both ends: then neither the open nor the write blocks.
    fifo = os.open(paths.events_in, os.O_RDWR | os.O_CLOEXEC)
    os.write(fifo, _ONLY_COMMAND)
    return fifo


def events(path: Path, *, tail: bool = False) -> Iterator[dict[str, Any]]:
    """Read the recorded events, oldest first.

    :param tail: only those at the file's end
    """
    try:
        with path.open("rb") as stream:
            if tail:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - _TAIL_BYTES))
            lines = stream.read().splitlines()
    except OSError:
        return
    for line in lines:
        if b'"event"' in line:
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict) and "event" in message:
                    yield message


def last_cause(path: Path) -> str:
    """Say why the last run ended (QAPI ShutdownCause), or ``""``."""
    cause = ""
    for event in events(path, tail=True):
        if event["event"] == "SHUTDOWN":
            cause = str(event.get("data", {}).get("reason", ""))
    return cause


def note_killed(paths: InstancePaths) -> None:
    """Write down that we ended QEMU by force: it can't any more."""
    event = {"event": "SHUTDOWN", "data": {"guest": False, "reason": "killed"}}
    with (
        contextlib.suppress(OSError),
        paths.events_out.open("a") as stream,
    ):
        stream.write(f"\n{json.dumps(event)}\n")
    paths.pid_file.unlink(missing_ok=True)
