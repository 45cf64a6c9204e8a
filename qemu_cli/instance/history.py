"""What was done to an instance, a JSON object a line, as ``git log``.

A line is written after the fact.  ``start`` opens a run; the ``exit`` that
closes it is written by the first changing command that sees it gone.
"""

import contextlib
import json
import os
import pwd
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qemu_cli.errors import QemuCliError
from qemu_cli.instance import recorder
from qemu_cli.paths import InstancePaths


def note(
    paths: InstancePaths,
    action: str,
    *,
    command: str | None,
    at: float | None = None,
    **details: object,
) -> None:
    """Append an entry.

    :param action: a word such as ``create``, ``start``, ``exit``
    :param command: the command as it was typed; None: it was none of ours,
        and no user is noted either
    :param at: when it was, in seconds since 1970; None: now
    :param details: what else is worth knowing; JSON; ``error`` says why
        it failed
    """
    entry = {
        "time": time.time() if at is None else at,
        "action": action,
        "user": None if command is None else _user(),
        "command": command,
        **details,
    }
    line = json.dumps(entry, ensure_ascii=False) + "\n"
    with (
        # A full disk must not turn what has succeeded into a failure.
        contextlib.suppress(OSError),
        # What was typed may be no text; \\udcff is JSON, too.
        paths.history.open(
            "a", encoding="utf-8", errors="backslashreplace"
        ) as stream,
    ):
        stream.write(line)


@contextlib.contextmanager
def failure_noted(
    paths: InstancePaths, action: str, *, command: str
) -> Iterator[None]:
    """Append an entry if the block fails; the error goes on."""
    try:
        yield
    except QemuCliError as error:
        note(paths, action, command=command, error=str(error))
        raise


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """Read the entries, oldest first; a damaged line is passed over."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.split("\n"):  # splitlines() splits at U+2028, too
        if entry := parse(line):
            yield entry


def parse(line: str) -> dict[str, Any] | None:
    """Turn a line of the file into an entry; None: it is damaged."""
    with contextlib.suppress(ValueError):
        entry = json.loads(line)
        if isinstance(entry, dict) and "action" in entry:
            return entry
    return None


def last_run(paths: InstancePaths) -> tuple[dict[str, Any], bool] | None:
    """Return the last start that worked, and whether its end is noted.

    :return: None if it was never started
    """
    start = None
    ended = False
    for entry in entries(paths.history):
        if entry["action"] == "start" and "error" not in entry:
            start, ended = entry, False
        elif entry["action"] == "exit":
            ended = True
    return (start, ended) if start else None


def exit_reason(paths: InstancePaths) -> str:
    """Why the last run ended (QAPI ShutdownCause), or ``crashed``."""
    if paths.pid_file.exists():
        return "crashed"
    return recorder.last_cause(paths.events_out) or "exited"


def exit_time(paths: InstancePaths) -> float:
    """When the last run ended, in seconds since 1970.

    QEMU's last event is the end of an orderly one.  When a crash was,
    nobody knows: it is now that it is seen.
    """
    if not paths.pid_file.exists():
        with contextlib.suppress(OSError):
            return paths.events_out.stat().st_mtime
    return time.time()


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except (OSError, KeyError):
        return str(os.getuid())
