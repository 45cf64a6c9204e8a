"""What `qemu list` imports of this package costs it little."""

import subprocess
import sys

import pytest

HEAVY = {"asyncio", "dataclasses", "msgspec", "qemu.qmp", "tomllib", "pluggy"}


@pytest.mark.parametrize(
    "module",
    [
        "qemu_cli.proc",
        "qemu_cli.qmp.probe",
        "qemu_cli.qmp.sessions",
        "qemu_cli.qmp.trace",
        "qemu_cli.testing.fake_qmp",
    ],
)
def test_cheap_to_import(module):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = set(done.stdout.split())
    assert module in loaded
    assert not HEAVY & loaded
