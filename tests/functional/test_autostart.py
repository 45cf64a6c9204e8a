"""qemu autostart: units that systemd takes."""

import os
import subprocess
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome


@pytest.fixture
def web(qemu_home: QemuHome, tmp_path: Path) -> QemuHome:
    """An instance, and a HOME of our own for the units."""
    qemu_home.environment["HOME"] = str(tmp_path)
    for variable in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        qemu_home.environment.pop(variable, None)
    created = qemu_home("create", "web", "--accel", "tcg")
    assert created.rc == 0, created.err
    return qemu_home


def verify(file: Path, scope: str) -> None:
    """Have systemd itself judge a unit."""
    done = subprocess.run(
        ["systemd-analyze", "verify", scope, "--man=no", file],
        env={**os.environ, "XDG_RUNTIME_DIR": str(file.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # It judges the units of the host that ours depends on as well.
    assert file.name not in done.stderr


def test_a_unit_of_the_user(web: QemuHome, tmp_path: Path) -> None:
    enabled = web("autostart", "enable", "web", "--user")
    assert enabled.rc == 0, enabled.err
    units = tmp_path / ".config/systemd/user"
    unit = units / "qemu-web.service"
    link = units / "default.target.wants/qemu-web.service"
    assert link.resolve() == unit.resolve()
    assert "loginctl enable-linger" in enabled.err
    verify(unit, "--user")
    assert web("autostart", "enable", "web", "--user").rc == 0

    disabled = web("autostart", "disable", "web")
    assert disabled.rc == 0, disabled.err
    assert not unit.exists()
    assert not link.is_symlink()
    assert web("autostart", "disable", "web").rc == 4


def test_a_unit_of_the_host(web: QemuHome, tmp_path: Path) -> None:
    shown = web(
        *("-c", "shutdown.timeout=90s", "autostart", "enable", "web"),
        *("--system", "--dry-run"),
    )
    assert shown.rc == 0, shown.err
    assert "shutdown --force --timeout 90s web" in shown.out
    assert "TimeoutStopSec=120s" in shown.out
    unit = tmp_path / "qemu-web.service"
    unit.write_text(shown.out)
    verify(unit, "--system")


def test_a_deleted_vm_has_no_unit(web: QemuHome, tmp_path: Path) -> None:
    assert web("autostart", "enable", "web", "--user").rc == 0
    assert web("delete", "web", "--yes").rc == 0
    assert not list(tmp_path.rglob("qemu-web.service"))


def test_a_unit_of_another_is_left_alone(
    web: QemuHome, tmp_path: Path
) -> None:
    unit = tmp_path / ".config/systemd/user/qemu-web.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    assert web("autostart", "enable", "web", "--user").rc == 4
    assert web("autostart", "disable", "web").rc == 4
    assert unit.read_text() == "[Service]\nExecStart=/bin/true\n"
