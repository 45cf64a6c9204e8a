"""The fixture ``real_qemu``: nothing that it started outlives its test."""

import subprocess
import sys

import pytest

from qemu_cli.proc import ProcFS
from qemu_cli.testing.real_qemu import RealQemu

FAILING = """
def test(real_qemu):
    print("PID", real_qemu().pid, real_qemu().pid)
    raise ValueError
"""


def test_a_qemu_ends_with_a_test_that_fails(tmp_path):
    (tmp_path / "test_inner.py").write_text(FAILING)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    line = next(x for x in done.stdout.splitlines() if x.startswith("PID"))
    pids = [int(word) for word in line.split()[1:]]
    assert len(pids) == 2
    assert [ProcFS().process(pid) for pid in pids] == [None, None]


def test_a_qemu_that_does_not_start_says_why(short_dir):
    with (
        RealQemu(short_dir, "-machine", "nosuch") as qemu,
        pytest.raises(RuntimeError, match="machine type"),
    ):
        qemu.wait_ready()
