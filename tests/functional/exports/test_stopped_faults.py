"""nbd-export of a stopped VM goes wrong: nothing is left, nothing lost."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from qemu_cli.instance.exports import records
from qemu_cli.steps.daemon import Daemon, running
from qemu_cli.testing.home import QemuHome
from tests.functional.exports.clients import run
from tests.functional.exports.stopped import (
    SMALL,
    TIMEOUT_S,
    assert_nothing_left,
    disk,
    io,
    reading,
    server,
    uris,
)
from tests.functional.killing import kill_in
from tests.functional.until import until


def test_an_image_that_another_program_writes(web: QemuHome) -> None:
    with reading(disk(web)) as holder:
        refused = web("nbd-export", "web")
        assert refused.rc == 6
        assert f"qemu-io (pid {holder.pid})" in refused.err
    assert_nothing_left(web)


def test_missing_files(web: QemuHome) -> None:
    assert web("clone", "web", "two").rc == 0
    base = disk(web)
    base.rename(base.with_name("away"))
    gone = web("nbd-export", "two")
    assert gone.rc != 0
    assert str(base) in gone.err
    top = disk(web, "two")
    top.unlink()
    gone = web("nbd-export", "two")
    assert gone.rc == 3
    assert f"is missing: {top}" in gone.err
    assert_nothing_left(web, "two")


def test_who_reads_is_not_cut_off_by_accident(web: QemuHome) -> None:
    (uri,) = uris(web, "web")
    with reading(uri, "-r", "-f", "raw") as reader:
        busy = web("export", "stop", "web")
        assert busy.rc == 6
        assert "still in use" in busy.err
        server(web)
        assert web("export", "stop", "web", "--hard").rc == 0
        assert_nothing_left(web)
        assert reader.poll() is None


def test_a_client_that_vanishes(web: QemuHome) -> None:
    (uri,) = uris(web, "web")
    with reading(uri, "-r", "-f", "raw") as reader:
        reader.kill()
        reader.wait()
    until(lambda: web("export", "stop", "web").rc == 0)
    assert_nothing_left(web)


@pytest.mark.parametrize("kind", ["--writable", "--scratch"])
def test_killed_between_every_two_steps(web: QemuHome, kind: str) -> None:
    for index in range(100):
        killed = False
        for when in ("noted", "done"):
            if kill_in(web, when, index, "nbd-export", "web", kind):
                killed = True
                # The guardian may be at it as well: this waits for it.
                web("export", "stop", "web", "--hard")
            else:
                assert web("export", "stop", "web").rc == 0
            assert io(disk(web), "read -P 1 0 1M")
            assert_nothing_left(web)
        if not killed:
            assert index > 2
            return
    raise AssertionError("there was no end to it")


def test_killed_while_it_is_taken_down(web: QemuHome) -> None:
    words = ("nbd-export", "web", "--scratch", "--listen", ":0")
    ended = False
    for index in range(100):
        for when in ("noted", "done"):
            assert web(*words).rc == 0
            ended = not kill_in(web, when, index, "export", "stop", "web")
            if not ended:
                again = web("export", "stop", "web")
                assert again.rc in (0, 3), again.err
            assert io(disk(web), "read -P 1 0 1M")
            assert_nothing_left(web)
        if ended:
            assert index > 1
            return
    raise AssertionError("there was no end to it")


def test_a_daemon_whose_starter_was_killed(web: QemuHome) -> None:
    uris(web, "web")
    export, _ = server(web)
    paths = web.paths.instance("web")
    # So it is before it has written that file.
    pid_file = paths.daemon_pid_file(export.id)
    pid_file.unlink()
    step = Daemon((), str(pid_file), (str(paths.daemon_socket(export.id)),))
    asyncio.run(step.undo(None))  # type: ignore[arg-type]
    assert running(str(pid_file)) == []
    web("export", "stop", "web")
    assert_nothing_left(web)


def test_a_daemon_that_is_killed(web: QemuHome) -> None:
    uris(web, "web", "--scratch")
    _, process = server(web)
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{process.pid}").exists())
    assert web("export", "list", "-f", "json").json == []
    started = web("start", "web")
    assert started.rc == 0
    assert "disk0" in started.err
    assert "is gone" in started.err
    assert web("kill", "web").rc == 0
    assert_nothing_left(web)


def test_a_daemon_that_is_stopped_by_a_signal(web: QemuHome) -> None:
    uris(web, "web")
    _, process = server(web)
    os.kill(process.pid, signal.SIGSTOP)
    assert web("start", "web").rc == 4
    assert web("export", "stop", "web").rc == 0
    assert_nothing_left(web)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_in_the_foreground(web: QemuHome, number: signal.Signals) -> None:
    with Popen(
        [web.executable, "nbd-export", "web", "--foreground"],
        env=web.environment,
        stdout=PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            uri = process.stdout.readline().strip()
            assert io(uri, "read -P 1 0 1M", "-r", "-f", "raw")
            process.send_signal(number)
            process.wait(TIMEOUT_S)
        finally:
            process.kill()
    until(lambda: not records.read(web.paths.instance("web")))
    assert_nothing_left(web)


def test_a_full_disk(short_dir: Path) -> None:
    directory = short_dir / "t"
    directory.mkdir()
    size = ("-o", "size=3M")
    mounted = run("mount", "-t", "tmpfs", *size, "tmpfs", directory)
    assert mounted.returncode == 0, mounted.stderr
    home = QemuHome(directory / "h")
    try:
        assert home("create", "web", "--disk", "64M", *SMALL).rc == 0
        assert io(disk(home), "write -P 1 0 1M")
        (uri,) = uris(home, "web", "--scratch")
        assert not io(uri, "write -P 2 0 8M", "-f", "raw")
        # Who serves it is still there, and so is the disk.
        assert run("nbdinfo", "--size", uri).stdout.strip() == str(64 << 20)
        assert home("export", "stop", "web").rc == 0
        assert io(disk(home), "read -P 1 0 1M")
        assert_nothing_left(home)
        with suppress(OSError), (directory / "fill").open("wb") as stream:
            stream.write(bytes(4 << 20))
        full = home("nbd-export", "web", "--scratch")
        assert full.rc == 1
        assert "No space left on device" in full.err
        assert_nothing_left(home)
        # What makes room needs none.
        assert home("delete", "web", "--yes").rc == 0
    finally:
        home.close()
        run("umount", "-l", directory)
