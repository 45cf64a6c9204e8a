"""capture: processes that can't be seen whole, on a fake /proc."""

import os
from pathlib import Path

import pytest

from qemu_cli.errors import NotFoundError, QemuCliError, StateError
from qemu_cli.instance.capture import keep
from qemu_cli.instance.capture.draft import Draft
from qemu_cli.instance.capture.ground import Ground
from qemu_cli.instance.capture.live import Live
from qemu_cli.instance.capture.service import surroundings, where
from qemu_cli.proc import ProcFS
from qemu_cli.proc.view import View

LIVE = Live("pc", "qemu64", 1, 1 << 27, False, "", (), ())


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A process that shares everything with us, and works in /w."""
    directory = tmp_path / "proc" / "7"
    (directory / "ns").mkdir(parents=True)
    mine = os.readlink("/proc/self/ns/mnt")  # noqa: PTH115
    (directory / "ns" / "mnt").symlink_to(mine)
    (directory / "cwd").symlink_to("/w")
    (directory / "root").symlink_to("/")
    (directory / "environ").write_bytes(b"A=b\0PWD=/first\0")
    return directory


def view(proc: Path) -> View:
    return View(ProcFS(proc.parent), 7)


def notes(proc: Path, live: Live | None = LIVE) -> dict[str, str]:
    seen = view(proc)
    draft = Draft([])
    ground = Ground("x86_64", where(seen, []), str, lambda name: name, live)
    surroundings(draft, ground, seen, "somebody has it")
    return {note.word: note.why for note in draft.notes}


def test_paths_go_by_its_directory(proc: Path) -> None:
    absolute = where(view(proc), ["qemu"])
    assert absolute("a") == "/w/a"
    assert absolute("../a") == "/a"
    assert absolute("/x/../a") == "/x/../a"
    assert notes(proc) == {}


def test_a_daemon_has_left_its_directory(proc: Path) -> None:
    absolute = where(view(proc), ["qemu", "-daemonize"])
    assert absolute("a") == "/first/a"


def test_a_directory_that_can_not_be_seen(proc: Path) -> None:
    (proc / "cwd").unlink()
    assert where(view(proc), ["qemu"])("a") == "a"
    assert "may not be looked at" in notes(proc)["its directory"]


def test_another_mount_namespace(proc: Path) -> None:
    (proc / "ns" / "mnt").unlink()
    (proc / "ns" / "mnt").symlink_to("mnt:[1]")
    assert where(view(proc), ["qemu"])("a") == "/w/a"
    assert "another mount namespace" in notes(proc)["its files"]


def test_a_monitor_that_was_not_asked(proc: Path) -> None:
    assert "(somebody has it)" in notes(proc, None)["its monitor"]


def test_the_file_is_new_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    keep.check(file)
    keep.write(file, "text")
    assert file.read_text() == "text"
    with pytest.raises(StateError, match="already"):
        keep.check(file)
    with pytest.raises(StateError, match="already"):
        keep.write(file, "other")  # somebody was quicker
    assert file.read_text() == "text"
    assert [path.name for path in tmp_path.iterdir()] == ["x.toml"]
    with pytest.raises(NotFoundError):
        keep.check(tmp_path / "no" / "x")
    with pytest.raises(QemuCliError, match="can't be written"):
        keep.write(tmp_path / "no" / "x", "text")
