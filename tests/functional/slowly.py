"""Run ``qemu``, with its jobs slowed down.

::

    python slowly.py SPEED WORD…

SPEED is in bytes a second.  The real program runs, and asks QEMU for no
more than that.
"""

import sys
from collections.abc import Mapping
from typing import Any

from qemu_cli.app import main
from qemu_cli.qmp import jobs


def slow_down(speed: int) -> None:
    arguments = jobs._arguments

    def slowed(
        command: str, job_id: str, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {**arguments(command, job_id, given), "speed": speed}

    jobs._arguments = slowed


if __name__ == "__main__":
    slow_down(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
