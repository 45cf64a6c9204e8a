"""How far a move is: on a terminal, and nowhere else."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

from tests.functional.disks.conftest import MIB, TIMEOUT_S

if TYPE_CHECKING:
    from tests.functional.disks.conftest import DiskVM

SLOWLY = Path(__file__).parents[1] / "slowly.py"


@pytest.fixture
def slow_move(
    machine: "Callable[..., DiskVM]", tmp_path: Path
) -> "tuple[DiskVM, list[str]]":
    """A VM, and what takes some seconds to move its disk."""
    vm = machine("--disk", "64M", start=True)
    vm.write(3, "0 56M")
    words = ["disk", "move", vm.name, "disk0", str(tmp_path / "new.qcow2")]
    return vm, [str(SLOWLY), str(16 * MIB), *words]


def test_on_a_terminal(slow_move: "tuple[DiskVM, list[str]]") -> None:
    vm, words = slow_move
    child = pexpect.spawn(
        sys.executable,
        words,
        env=vm.home.environment,
        timeout=TIMEOUT_S,
        dimensions=(24, 100),
        encoding="utf-8",
    )
    try:
        child.expect(
            r"m0: move-disk0.*[1-9]\d? %, [\d.]+ MiB/s, [\d.]+m?s left"
        )
        assert "━" in child.before + child.after
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    assert child.exitstatus == 0
    # The bar is wiped before the last word.
    assert "\x1b[2K" in child.before
    *_, said = child.before.rpartition("\x1b[2K")[2].splitlines()
    assert said.startswith(f"{vm.name}: disk0")
    assert vm.holds(3, "0 56M")


@pytest.mark.parametrize("quiet", [False, True])
def test_elsewhere(
    slow_move: "tuple[DiskVM, list[str]]", *, quiet: bool
) -> None:
    """Neither in a file, nor on a terminal of one who wants no talk."""
    vm, [slowly, speed, *words] = slow_move
    if quiet:
        child = pexpect.spawn(
            sys.executable,
            [slowly, speed, "-q", *words],
            env=vm.home.environment,
            timeout=TIMEOUT_S,
            encoding="utf-8",
        )
        try:
            child.expect(pexpect.EOF)
        finally:
            child.close(force=True)
        assert (child.exitstatus, child.before) == (0, "")
        return
    done = subprocess.run(
        [sys.executable, slowly, speed, *words],
        env=vm.home.environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith(f"{vm.name}: disk0")
    assert "%" not in line and "\x1b" not in line
