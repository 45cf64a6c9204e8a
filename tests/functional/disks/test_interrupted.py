"""Ctrl-C while a disk is worked on: the job is cancelled, all is as it was."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional.until import until

if TYPE_CHECKING:
    from tests.functional.disks.conftest import DiskVM

SLOWLY = Path(__file__).parents[1] / "slowly.py"
SPEED = 1 << 18  # bytes a second: half a minute


@pytest.mark.parametrize("command", ["move", "commit", "flatten"])
def test_ctrl_c(
    machine: "Callable[..., DiskVM]",
    base: Path,
    tmp_path: Path,
    command: str,
) -> None:
    vm = machine("--image", base)
    vm.write(1, "0 8M")
    vm.stack()
    vm.write(2, "0 4M")
    vm.ok("start")
    before = vm.state()
    words: list[str | Path] = ["disk", command, vm.name, "disk0"]
    words += [tmp_path / "new.qcow2"] if command == "move" else ["--yes"]
    process = subprocess.Popen(
        [sys.executable, SLOWLY, str(SPEED), *words],
        env=vm.home.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: [j["current-progress"] for j in vm.qmp("query-jobs")])
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert vm.qmp("query-jobs") == []
    assert vm.state() == before
    assert not list(tmp_path.glob("new*"))
    assert not vm.paths.journal.exists()
    assert vm.holds(2, "0 4M")
    assert vm.holds(1, "4M 4M")
    vm.ok(" ".join(("disk", command)), "disk0", *words[4:])
    assert vm.holds(2, "0 4M")
    assert vm.holds(1, "4M 4M")
