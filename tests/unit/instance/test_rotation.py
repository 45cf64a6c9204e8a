"""Logs stay bounded."""

from types import SimpleNamespace

import pytest

from qemu_cli import settings
from qemu_cli.instance import rotation
from qemu_cli.paths import InstancePaths

HOST = SimpleNamespace(config={settings.LOG_SERIAL_MAX: 10})


@pytest.fixture
def paths(tmp_path):
    return InstancePaths(tmp_path, tmp_path)


@pytest.mark.parametrize("act", [rotation.at_start, rotation.while_running])
def test_a_small_log_is_left_alone(paths, act):
    act(HOST, paths)  # there is none
    paths.serial_log.write_bytes(b"0123456789")
    act(HOST, paths)
    assert paths.serial_log.read_bytes() == b"0123456789"


def test_at_a_start_a_large_log_is_put_aside(paths):
    rotation.aside(paths.serial_log).write_bytes(b"older")
    paths.serial_log.write_bytes(b"01234567890")
    paths.qemu_log.write_bytes(b"01234567890")
    rotation.at_start(HOST, paths)
    assert not paths.serial_log.exists()
    assert not paths.qemu_log.exists()
    aside = rotation.aside(paths.serial_log)
    assert aside.name == "serial.log.1"
    assert aside.read_bytes() == b"01234567890"


def test_while_qemu_appends_to_it_the_file_stays_the_same(paths):
    with paths.serial_log.open("ab", buffering=0) as qemu:
        qemu.write(b"01234567890")
        rotation.while_running(HOST, paths)
        qemu.write(b"new")
    assert paths.serial_log.read_bytes() == b"new"
    aside = rotation.aside(paths.serial_log)
    assert aside.read_bytes() == b"01234567890"


def test_without_room_for_a_copy_it_is_emptied(paths):
    rotation.aside(paths.serial_log).symlink_to("/dev/full")
    paths.serial_log.write_bytes(b"0" * 10**6)
    rotation.while_running(HOST, paths)
    assert paths.serial_log.read_bytes() == b""
    assert not rotation.aside(paths.serial_log).is_symlink()
