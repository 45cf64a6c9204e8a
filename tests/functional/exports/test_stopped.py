"""nbd-export of a stopped VM: a qemu-storage-daemon serves its disks."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from qemu_cli.instance.exports import daemon, records
from qemu_cli.instance.exports.model import Export
from qemu_cli.proc import Process
from qemu_cli.steps.daemon import Daemon, running
from qemu_cli.testing.home import QemuHome

KILLED = Path(__file__).parents[1] / "killed.py"
SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")
TIMEOUT_S = 60.0


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def io(target: str | Path, command: str, *options: str) -> bool:
    """Read or write with qemu-io; whether that worked."""
    done = run("qemu-io", *options, "-c", command, target)
    return done.returncode == 0 and "Pattern verification" not in done.stdout


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def uris(home: QemuHome, *words: str) -> list[str]:
    done = home("nbd-export", *words)
    assert done.rc == 0, done.err
    return done.out.split()


def disk(home: QemuHome, name: str = "web") -> Path:
    return home.paths.instance(name).directory / "disk0.qcow2"


def server(home: QemuHome, name: str = "web") -> tuple[Export, Process]:
    """The only export of a VM, and who serves it."""
    paths = home.paths.instance(name)
    (export,) = records.read(paths)
    process = daemon.alive(paths, export)
    assert process is not None
    return export, process


def assert_nothing_left(home: QemuHome, name: str = "web") -> None:
    paths = home.paths.instance(name)
    assert not records.read(paths)
    assert not list(paths.exports.glob("*"))
    assert not list(paths.runtime.glob("nbd-*"))
    assert not list(paths.directory.glob("export-*"))
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            argv = (directory / "cmdline").read_bytes()
        except OSError:
            continue
        if str(paths.exports).encode() in argv:
            raise AssertionError(f"left: {argv!r}")


@pytest.fixture
def web(qemu_home: QemuHome) -> QemuHome:
    """A home with a VM whose first MiB is full of ones."""
    done = qemu_home("create", "web", "--disk", "64M", *SMALL)
    assert done.rc == 0, done.err
    assert io(disk(qemu_home), "write -P 1 0 1M")
    return qemu_home


@contextmanager
def reading(target: str | Path, *options: str) -> "Iterator[Popen[str]]":
    """Hold an image, or an export, open."""
    with Popen(
        ["qemu-io", *options, target], stdin=PIPE, stdout=PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write("read 0 512\n")
            process.stdin.flush()
            while "read 512/512" not in process.stdout.readline():
                assert process.poll() is None
            yield process
        finally:
            process.kill()


def test_real_clients_read_what_is_on_the_disk(
    web: QemuHome, tmp_path: Path
) -> None:
    done = web("nbd-export", "web", "--live")  # it does not move
    assert done.err == ""
    (uri,) = done.out.split()
    assert uri.startswith("nbd+unix:///disk0?socket=")
    info = json.loads(run("nbdinfo", "--json", uri).stdout)["exports"][0]
    assert info["export-size"] == 64 << 20
    assert info["is_read_only"] is True
    copy = tmp_path / "copy.raw"
    assert run("nbdcopy", uri, copy).returncode == 0
    compare = run(
        *("qemu-img", "compare", "-f", "raw", "-F", "raw", uri, copy)
    )
    assert compare.returncode == 0, compare.stdout
    image = disk(web)
    compare = run(
        *("qemu-img", "compare", "-U", "-f", "raw", "-F", "qcow2", uri, image)
    )
    assert compare.returncode == 0, compare.stdout
    assert not io(uri, "write -P 2 0 512", "-f", "raw")
    assert web("export", "stop", "web").rc == 0
    assert_nothing_left(web)


def test_as_long_as_it_is_served_it_does_not_start(web: QemuHome) -> None:
    uris(web, "web")
    export, process = server(web)
    listed = web("export", "list", "web", "-f", "json").json
    assert [row["name"] for row in listed] == ["disk0"]
    assert listed[0]["pid"] == process.pid
    started = web("start", "web")
    assert started.rc == 4
    assert "is being exported: disk0" in started.err
    assert "qemu export stop web disk0" in started.err
    deleted = web("delete", "web", "--yes")
    assert deleted.rc == 4
    assert "is being exported" in deleted.err
    assert web("rename", "web", "www").rc == 4
    # It is only read: a clone reads it as well.
    assert web("clone", "web", "two").rc == 0
    assert web("export", "stop", "web", export.id).rc == 0
    assert web("start", "web").rc == 0
    assert web("kill", "web").rc == 0
    assert_nothing_left(web)


def test_each_disk_has_a_uri(qemu_home: QemuHome) -> None:
    disks = ("--disk", "8M", "--disk", "16M")
    assert qemu_home("create", "web", *disks, *SMALL).rc == 0
    sizes = [
        int(run("nbdinfo", "--size", uri).stdout)
        for uri in uris(qemu_home, "web")
    ]
    assert sizes == [8 << 20, 16 << 20]
    assert qemu_home("export", "stop", "web", "disk0").rc == 0
    listed = qemu_home("export", "list", "-f", "json").json
    assert [row["name"] for row in listed] == ["disk1"]
    (uri,) = uris(qemu_home, "web", "disk0", "--name", "a name/ä?")
    assert run("nbdinfo", "--size", uri).stdout.strip() == str(8 << 20)
    assert qemu_home("nbd-export", "web", "disk7").rc == 3
    assert qemu_home("nbd-export", "web", "disk1").rc == 4
    assert qemu_home("export", "stop", "web").rc == 0
    assert_nothing_left(qemu_home)


def test_writes_arrive(web: QemuHome) -> None:
    (uri,) = uris(web, "web", "--writable")
    assert io(uri, "write -P 2 0 1M", "-f", "raw")
    again = web("nbd-export", "web", "--name", "other")
    assert again.rc == 4
    assert "while a client writes" in again.err
    assert web("clone", "web", "two").rc == 4
    assert web("export", "stop", "web").rc == 0
    assert io(disk(web), "read -P 2 0 1M")
    assert run("qemu-img", "check", disk(web)).returncode == 0
    assert_nothing_left(web)


def test_what_others_stand_on_is_not_written(web: QemuHome) -> None:
    # Another instance's disk on this one's, made behind our back.
    assert web("create", "two", "--disk", "64M", *SMALL).rc == 0
    assert run(
        *("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2"),
        *("-b", disk(web), disk(web, "two")),
    ).returncode == 0  # fmt: skip
    refused = web("nbd-export", "web", "--writable")
    assert refused.rc == 4
    assert "'two'" in refused.err
    (uri,) = uris(web, "web", "--scratch")
    assert io(uri, "write -P 2 0 1M", "-f", "raw")
    assert web("export", "stop", "web").rc == 0
    assert io(disk(web), "read -P 1 0 1M")


def test_scratch_is_thrown_away(web: QemuHome) -> None:
    (uri,) = uris(web, "web", "--scratch")
    assert io(uri, "write -P 2 0 512k", "-f", "raw")
    assert io(uri, "read -P 2 0 512k", "-f", "raw")
    assert io(uri, "read -P 1 512k 512k", "-f", "raw")
    assert list(web.paths.instance("web").directory.glob("export-*"))
    assert web("export", "stop", "web").rc == 0
    assert io(disk(web), "read -P 1 0 1M")
    assert_nothing_left(web)


def test_scratch_is_bounded(web: QemuHome) -> None:
    small = web("nbd-export", "web", "--scratch", "--scratch-size", "4k")
    assert small.rc == 2
    assert "is the least" in small.err
    (uri,) = uris(web, "web", "--scratch", "--scratch-size", "4194305")
    assert io(uri, "write -P 2 0 1M", "-f", "raw")
    assert not io(uri, "write -P 2 1M 8M", "-f", "raw")
    assert io(uri, "read -P 2 0 1M", "-f", "raw")
    (overlay,) = web.paths.instance("web").directory.glob("export-*")
    assert overlay.stat().st_size == 4 << 20
    assert web("export", "stop", "web").rc == 0
    assert_nothing_left(web)


def test_a_backing_file(web: QemuHome) -> None:
    assert web("clone", "web", "two").rc == 0
    top = web.paths.instance("two").directory / "disk0.qcow2"
    assert io(top, "write -P 3 0 1M")
    (uri,) = uris(web, "two", "--backing")
    assert io(uri, "read -P 1 0 1M", "-r", "-f", "raw")
    deep = web("nbd-export", "two", "--backing", "2", "--name", "deep")
    assert deep.rc == 3
    assert "has only 1 backing file" in deep.err
    # Both only read it.
    assert web("start", "two").rc == 0
    assert io(uri, "read -P 1 0 1M", "-r", "-f", "raw")
    assert web("kill", "two").rc == 0
    assert web("export", "stop", "two").rc == 0
    assert_nothing_left(web, "two")


def test_a_bitmap(web: QemuHome) -> None:
    image = disk(web)
    assert run("qemu-img", "bitmap", "--add", image, "b0").returncode == 0
    assert io(image, "write -P 2 1M 64k")
    (uri,) = uris(web, "web", "--bitmap", "b0")
    context = "--map=qemu:dirty-bitmap:b0"
    extents = json.loads(run("nbdinfo", context, "--json", uri).stdout)
    dirty = [(e["offset"], e["length"]) for e in extents if e["type"]]
    assert dirty == [(1 << 20, 64 << 10)]
    assert web("export", "stop", "web").rc == 0
    missing = web("nbd-export", "web", "--bitmap", "b1")
    assert missing.rc == 3
    assert "it has: b0" in missing.err


def test_a_saved_state_goes_with_its_disks(web: QemuHome) -> None:
    assert web("start", "web").rc == 0
    assert web("save", "web").rc == 0
    refused = web("nbd-export", "web", "--writable")
    assert refused.rc == 4
    assert "saved state" in refused.err
    uris(web, "web")  # reading spoils nothing
    assert web("export", "stop", "web").rc == 0
    assert web("start", "web").rc == 0
    assert web("kill", "web").rc == 0


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


def kill_in(
    home: QemuHome, when: str, index: int, *words: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command that is killed at a step, if it has so many."""
    return subprocess.run(
        [sys.executable, KILLED, when, str(index), *words],
        env=home.environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize("kind", ["--writable", "--scratch"])
def test_killed_between_every_two_steps(web: QemuHome, kind: str) -> None:
    for index in range(100):
        killed = False
        for when in ("noted", "done"):
            done = kill_in(web, when, index, "nbd-export", "web", kind)
            if done.returncode == -signal.SIGKILL:
                killed = True
                # The guardian may be at it as well: this waits for it.
                web("export", "stop", "web", "--hard")
            else:
                assert done.returncode == 0, done.stderr
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
            done = kill_in(web, when, index, "export", "stop", "web")
            ended = done.returncode == 0
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


def test_nothing_is_changed_by_a_dry_run(web: QemuHome) -> None:
    done = web("nbd-export", "web", "--scratch", "--dry-run")
    assert done.rc == 0, done.err
    assert "qemu-storage-daemon" in done.out
    assert "qemu-img create" in done.out
    assert_nothing_left(web)
