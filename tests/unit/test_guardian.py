"""The guardian acts when we die while it is armed, and only then."""

import os
import subprocess
import sys
import time

import pytest

from qemu_cli import guardian

#: Says what it does to a guardian whose command makes a file.
CHILD = """
import os, signal, sys
from qemu_cli import guardian

guardian._RUN = "import sys, pathlib; pathlib.Path(sys.argv[1]).touch()"
with guardian.guarding([sys.argv[1]]) as it:
    for word in sys.argv[2:]:
        getattr(it, word)()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("words", "acts"),
    [
        ([], False),
        (["arm"], True),
        (["arm", "disarm"], False),
        (["arm", "disarm", "arm"], True),
    ],
)
def test_what_was_said_last_counts(tmp_path, words, acts):
    done = tmp_path / "done"
    child = subprocess.run(
        [sys.executable, "-c", CHILD, done, *words], check=False
    )
    assert child.returncode == -9
    end = time.monotonic() + (30 if acts else 1)
    while time.monotonic() < end and not done.exists():
        time.sleep(0.02)
    assert done.exists() is acts


def test_all_commands_are_done_whatever_becomes_of_those_before(tmp_path):
    reading, writing = os.pipe()
    os.write(writing, b"+")
    os.close(writing)
    done = tmp_path / "done"
    guardian.watch(reading, [["false"], ["touch", str(done)]])
    os.close(reading)
    assert done.exists()


def test_one_that_was_killed_does_no_harm(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    guardian.Guardian(writing).arm()
    os.close(writing)


def test_it_needs_nothing_but_the_standard_library():
    program = "import sys, runpy; runpy.run_path(sys.argv[1]); "
    program += "assert not [m for m in sys.modules if m.startswith('qemu')]"
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, guardian.__file__],
        check=True,
    )
