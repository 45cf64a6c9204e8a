"""Run a command, and fail if it leaves a process behind.

::

    python tests/none_left.py COMMAND [ARGUMENT…]

What COMMAND starts inherits a mark in its environment; whatever carries
that mark when COMMAND has ended was left behind.  It is named, killed, and
makes the exit code 1.  (A QEMU detaches itself from its parent, so there
is no process tree to look at.)
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

MARK = "QEMU_CLI_TEST_RUN"

#: A process that was told to go may need a moment (seconds).
GRACE_S = 5.0


def carriers(mark: str) -> dict[int, str]:
    """The processes that have the mark: pid and command line."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            environ = (directory / "environ").read_bytes()
            command = (directory / "cmdline").read_bytes()
        except OSError:  # it has just ended, or is somebody else's
            continue
        if f"{MARK}={mark}".encode() in environ.split(b"\0"):
            words = command.decode(errors="replace").split("\0")
            found[int(directory.name)] = " ".join(words).strip()
    return found


def left_behind(mark: str) -> dict[int, str]:
    """Who carries the mark, also when it is in the middle of an exec.

    For a moment it has no environment then, hence the second look.
    """
    found = carriers(mark)
    if not found:
        time.sleep(0.1)
        found = carriers(mark)
    return found


def main(command: list[str]) -> int:
    # A shell that runs us in the background has SIGINT ignored, nohup
    # SIGHUP, and so would everything that tests what these do.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    mark = uuid.uuid4().hex
    code = subprocess.run(command, env=os.environ | {MARK: mark}).returncode
    end = time.monotonic() + GRACE_S
    while (left := left_behind(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    for pid, words in left.items():
        print(f"left behind: process {pid}: {words}", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return code or int(bool(left))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
