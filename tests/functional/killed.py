"""Run ``qemu``, and die of SIGKILL at a moment.

::

    python killed.py WHEN INDEX WORD…

WHEN is ``noted``: step INDEX of the plan is in the journal, and not begun;
``done``: it is done, and nothing after it; or ``spawned``: QEMU was just
executed (INDEX does not matter).  The real program runs, with its steps
watched.
"""

import os
import signal
import sys
from typing import Any

from qemu_cli.app import main
from qemu_cli.instance import process
from qemu_cli.steps.runner import Journal


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def watch(when: str, last: int) -> None:
    note, end, execute = Journal.step, Journal.end, process._execute

    def step(self: Journal, index: int) -> None:
        if when == "done" and index == last + 1:
            die()
        note(self, index)
        if when == "noted" and index == last:
            die()

    def finish(self: Journal, plan: Any) -> None:
        if when == "done" and last == len(plan.steps) - 1:
            die()
        end(self, plan)

    def spawn(*args: Any) -> Any:
        child = execute(*args)
        if when == "spawned":
            die()
        return child

    Journal.step = step  # type: ignore[method-assign]
    Journal.end = finish  # type: ignore[method-assign]
    process._execute = spawn  # type: ignore[assignment]


if __name__ == "__main__":
    watch(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
