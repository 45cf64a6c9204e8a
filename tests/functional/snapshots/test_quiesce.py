"""qemu snapshot create --quiesce: file systems are whole, and thawed."""

import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest
from tests.functional.bare import TIMEOUT_S
from tests.functional.ext4_guest import boot, ok, shell
from tests.functional.snapshots.conftest import Machine
from tests.functional.snapshots.reverting import files, meddled


@pytest.fixture(scope="module")
def booted(
    home: QemuHome,
    tiny_guest: TinyGuest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Machine:
    vm = Machine(home, "g")
    boot(vm, tiny_guest, tmp_path_factory.mktemp("fs"))
    return vm


def test_what_was_not_synced_is_in_it(booted: Machine, tmp_path: Path) -> None:
    secret = secrets.token_hex(8)
    shell(booted, f"echo {secret} > /mnt/not-synced")
    kept = booted.images["disk0"]
    booted.snapshot("e1", "--external", "--quiesce")
    assert "LIVES" in shell(booted, "echo x > /mnt/x && sync && echo LI''VES")
    copy = tmp_path / "ext4"
    ok("qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", kept, copy)
    assert secret in ok("debugfs", "-R", "cat /not-synced", copy)
    assert "needs_recovery" not in ok("dumpe2fs", "-h", copy)
    ok("e2fsck", "-f", "-n", copy)


def test_what_is_refused_while_it_is_frozen_thaws_it(
    booted: Machine, tmp_path: Path
) -> None:
    """Somebody starts a job on the disk in the last moment."""
    booted.snapshot("e8", "--external")
    before = files(booted)
    node = booted.images["disk0"].stem
    words = f"job-id=night device={node} speed=1"
    frozen = tmp_path / "frozen"
    qemu = booted.home.executable
    script = f"{qemu} qmp g block-commit {words} && touch {frozen}"
    create = ("snapshot", "create", "g", "e9", "--external", "--quiesce")
    failed = meddled(booted, "PutOverlays", script, *create)
    try:
        assert failed.returncode == 5, failed.stderr
        assert "block device is in use by block job" in failed.stderr
        assert frozen.exists()
        # It is not frozen any more, and writes to the same disk.
        assert "was not frozen" in booted.ok("guest", "thaw", "g").err
        line = "echo z > /mnt/z && sync && echo LI''VES"
        assert "LIVES" in shell(booted, line)
        after = files(booted)
        assert after.keys() == before.keys()
        assert after["instance.toml"] == before["instance.toml"]
        assert not booted.paths.journal.exists()
    finally:
        booted.qmp("job-cancel", id="night")
    booted.snapshot("e9", "--external", "--quiesce")


def test_killed_while_the_guest_is_frozen(booted: Machine) -> None:
    """The guardian thaws it; the next command takes the rest back."""
    program = """
import os, signal, sys
from qemu_cli.app import main
from qemu_cli.steps.snapshot import PutOverlays

async def die(self, hands):
    os.kill(os.getpid(), signal.SIGKILL)

PutOverlays.do = die
sys.exit(main(["snapshot", "create", "g", "e2", "--external", "--quiesce"]))
"""
    killed = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=booted.home.environment,
        capture_output=True,
        timeout=TIMEOUT_S,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    end = time.monotonic() + TIMEOUT_S
    while "was not frozen" not in booted.home("guest", "thaw", "g").err:
        assert time.monotonic() < end
        time.sleep(0.1)
    booted.snapshot("e3", "--external", "--quiesce")
    listed = booted.ok("snapshot", "list", "g", "-f", "json").json
    assert "e2" not in {row["name"] for row in listed}
    assert "LIVES" in shell(booted, "echo y > /mnt/y && sync && echo LI''VES")
