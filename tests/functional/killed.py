"""Run ``qemu``, and die of SIGKILL at a moment.

::

    python killed.py WHEN INDEX WORD…

WHEN is ``noted``: step INDEX of the plan is in the journal, and not begun;
``done``: it is done, and nothing after it; or ``spawned``: QEMU was just
executed (INDEX does not matter).  The real program runs, with its steps
watched.  With ``alone-`` before WHEN its guardian dies first, as when all
processes of a user are killed.
"""

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from qemu_cli import guardian
from qemu_cli.app import main
from qemu_cli.instance import process
from qemu_cli.proc import Process, ProcFS
from qemu_cli.steps.runner import Journal

_ME = os.getpid()
_PYTHON = re.compile(r"python.*")


def die(alone: bool) -> None:
    for each in ProcFS().processes(_PYTHON) if alone else ():
        if guardian.__file__ in each.argv and _parent(each) == _ME:
            os.kill(each.pid, signal.SIGKILL)
            os.waitpid(each.pid, 0)
    os.kill(_ME, signal.SIGKILL)


def _parent(process: Process) -> int:
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def watch(when: str, last: int, *, alone: bool) -> None:
    note, end, execute = Journal.step, Journal.end, process._execute

    def step(self: Journal, index: int) -> None:
        if when == "done" and index == last + 1:
            die(alone)
        note(self, index)
        if when == "noted" and index == last:
            die(alone)

    def finish(self: Journal, plan: Any) -> None:
        if when == "done" and last == len(plan.steps) - 1:
            die(alone)
        end(self, plan)

    def spawn(*args: Any) -> Any:
        child = execute(*args)
        if when == "spawned":
            die(alone)
        return child

    Journal.step = step  # type: ignore[method-assign]
    Journal.end = finish  # type: ignore[method-assign]
    process._execute = spawn  # type: ignore[assignment]


if __name__ == "__main__":
    when = sys.argv[1].removeprefix("alone-")
    watch(when, int(sys.argv[2]), alone=when != sys.argv[1])
    sys.exit(main(sys.argv[3:]))
