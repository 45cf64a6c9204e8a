"""What the tests of exports of a stopped VM share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

from qemu_cli.instance.exports import daemon, records
from qemu_cli.instance.exports.model import Export
from qemu_cli.proc import Process
from qemu_cli.testing.home import QemuHome
from tests.functional.exports.clients import run

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")


TIMEOUT_S = 60.0


def io(target: str | Path, command: str, *options: str) -> bool:
    """Read or write with qemu-io; whether that worked."""
    done = run("qemu-io", *options, "-c", command, target)
    return done.returncode == 0 and "Pattern verification" not in done.stdout


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
