"""Ctrl-C while QEMU does what it can't be stopped in: it is waited for."""

import signal
import subprocess
from typing import TYPE_CHECKING

from tests.functional.snapshots.checks import (
    TIMEOUT_S,
    consistent,
    until_written,
)
from tests.functional.snapshots.remembering import remember, remembers
from tests.functional.snapshots.reverting import meddled, revert
from tests.functional.snapshots.taken import tree

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

MIB = 1 << 20


def test_while_ram_is_written_into_an_image(busy: "Machine") -> None:
    remember(busy, 2)
    process = subprocess.Popen(
        [busy.home.executable, "snapshot", "create", busy.name, "s2", "-y"],
        env=busy.home.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    until_written(busy, 16 * MIB)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, said
    assert "qemu: warning: snapshot-save can't be cancelled; waiting" in said
    assert [each.name for each in tree(busy).snapshots] == ["before"]
    assert not busy.paths.journal.exists()
    assert busy.state == "running"
    assert busy.holds(2)
    assert remembers(busy) == 2
    consistent(busy)
    # It stood still while QEMU wrote, and no longer.
    assert busy.events().count("STOP") == busy.events().count("RESUME") == 1
    busy.snapshot("s2", "--yes")
    busy.ok("quit", busy.name)
    consistent(busy)


def test_while_a_snapshot_is_loaded(busy: "Machine") -> None:
    busy.snapshot("s2", "--yes")
    remember(busy, 3)
    busy.write(3)
    script = "(sleep 0.02; kill -INT $PPID) >/dev/null 2>&1 &"
    done = meddled(busy, "LoadSnapshot", script, *revert(busy, "s2"))
    warning = "qemu: warning: going back can't be cancelled; waiting"
    assert warning in done.stderr
    assert "is back at 's2'" in done.stderr
    assert done.returncode == 0, done.stderr
    assert not busy.paths.journal.exists()
    assert busy.state == "running"
    assert busy.holds(2)
    assert remembers(busy) == 0
    assert busy.current == "s2"
    consistent(busy)
