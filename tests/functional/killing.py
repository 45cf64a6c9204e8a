"""Commands that die of SIGKILL at a step of their plan; see killed.py."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from qemu_cli.testing.home import QemuHome

_KILLED = Path(__file__).with_name("killed.py")
_TIMEOUT_S = 180.0


def kill_in(home: QemuHome, when: str, index: int, *words: str | Path) -> bool:
    """Run a command that is killed; false: it ended before that."""
    done = subprocess.run(
        [sys.executable, _KILLED, when, str(index), *words],
        env=home.environment,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


def moments() -> Iterator[tuple[str, int]]:
    """Noted and done, for one step after the other, without end."""
    for index in range(100):
        yield "noted", index
        yield "done", index
