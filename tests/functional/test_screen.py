"""Screens and keyboards of real QEMUs."""

import os
import time

import pytest

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")
PATIENCE_S = 60.0

#: A boot sector that writes each key that is typed to the serial port:
#: xor ah,ah; int 16h; mov dx,3f8h; out dx,al; jmp to the beginning.
ECHO = bytes.fromhex("30e4 cd16 baf803 ee ebf6")


@pytest.fixture
def web(qemu_home, tmp_path):
    """A VM with a screen that echoes what is typed, running."""
    disk = tmp_path / "echo.img"
    disk.write_bytes(ECHO.ljust(510, b"\0") + b"\x55\xaa")
    os.truncate(disk, 1 << 20)  # the BIOS boots from nothing smaller
    created = qemu_home(
        *("create", "web", "--disk", f"{disk},format=raw"),
        *("--display", "vnc", *SMALL),
    )
    assert created.rc == 0, created.err
    assert qemu_home("start", "web").rc == 0
    return qemu_home.paths.instance("web")


def echoed(paths, text):
    """Wait until the guest has written a text."""
    end = time.monotonic() + PATIENCE_S
    while text not in (seen := paths.serial_log.read_bytes()):
        assert time.monotonic() < end, seen
        time.sleep(0.1)
    return seen


def wake(qemu_home, paths):
    """Press a key until the guest listens: the BIOS takes a while."""
    end = time.monotonic() + PATIENCE_S
    while b"\x1b" not in paths.serial_log.read_bytes():
        assert time.monotonic() < end
        assert qemu_home("send-key", "web", "esc").rc == 0
        time.sleep(0.3)


def test_what_is_typed_arrives(qemu_home, web):
    wake(qemu_home, web)
    text = "Hello, World! {[(~|\\`'\"<>?/:;_+-=@#$%^&*)]} 0123456789"
    assert qemu_home("type", "web", text, "--enter").rc == 0
    assert text.encode() + b"\r" in echoed(web, b"\r")
    assert qemu_home("type", "web", stdin="two\nlines\n").rc == 0
    echoed(web, b"two\rlines\r")
    assert qemu_home("send-key", "web", "shift-a", "b", "-", "enter").rc == 0
    echoed(web, b"Ab-\r")
    assert qemu_home("send-key", "web", "ctrl-c").rc == 0
    echoed(web, b"\x03")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("send-key", "web", "ctrl-del", "f99"), "'f99'"),
        (("send-key", "web", "ctrl--a"), "is no combination"),
        (("send-key", "web", "contrl-a"), "did you mean ctrl"),
        (("type", "web", "é"), "'é' can't be typed"),
    ],
)
def test_keys_that_there_are_not(qemu_home, web, words, why):
    before = web.serial_log.read_bytes()
    result = qemu_home(*words)
    assert result.rc == 2
    assert why in result.err
    assert web.serial_log.read_bytes() == before


def test_a_picture_of_the_screen(qemu_home, web, tmp_path):
    file = tmp_path / "screen.png"
    result = qemu_home("screenshot", "web", file)
    assert (result.rc, result.out) == (0, f"{file}\n")
    picture = file.read_bytes()
    assert picture.startswith(b"\x89PNG\r\n")
    again = qemu_home("screenshot", "web", file)
    assert again.rc == 2
    assert "--force" in again.err
    assert file.read_bytes() == picture
    assert qemu_home("screenshot", "web", file, "--force").rc == 0
    named = qemu_home("screenshot", "web", tmp_path)
    assert named.out.startswith(f"{tmp_path}/web-20")
    nowhere = qemu_home("screenshot", "web", tmp_path / "no" / "x.png")
    assert nowhere.rc == 2
    assert len(list(tmp_path.glob(".*"))) == 0


def test_a_viewer_is_started_or_the_socket_named(qemu_home, web, tmp_path):
    uri = f"vnc+unix://{web.vnc_socket}"
    assert qemu_home("view", "web", "--print").out == f"{uri}\n"
    nobody = {"PATH": f"{tmp_path}"}
    missing = qemu_home("view", "web", environment=nobody)
    assert missing.rc == 3
    assert uri in missing.err
    viewer = tmp_path / "vncviewer"
    viewer.write_text('#!/bin/sh\necho "$0 $@"\n')
    viewer.chmod(0o755)
    search = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    shown = qemu_home("view", "web", environment=search)
    assert shown.out == f"{viewer} {web.vnc_socket}\n"


def test_no_screen_and_no_process(qemu_home, tmp_path):
    assert qemu_home("create", "web", *SMALL).rc == 0
    file = tmp_path / "x.png"
    for words in (
        ("screenshot", "web", file),
        ("send-key", "web", "a"),
        ("view", "web"),
    ):
        result = qemu_home(*words)
        assert result.rc == 4
        assert "does not run" in result.err
    assert qemu_home("start", "web", "--paused").rc == 0
    for words in (("screenshot", "web", file), ("view", "web")):
        result = qemu_home(*words)
        assert result.rc == 4
        assert "display=vnc" in result.err
    assert not file.exists()
