"""qemu image convert, and what interrupts it."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from qemu_cli.testing.home import QemuHome
from tests.functional.image.images import MIB, ok, qemu_io
from tests.functional.until import until

PATIENCE_S = 60.0


@pytest.mark.parametrize(
    "format", ["qcow2", "raw", "vmdk", "vdi", "vhdx", "qed"]
)
def test_convert(qemu_home, made, tmp_path, format):
    source = made("source.qcow2", "4M")
    qemu_io(source, "write -P 7 1M 1M")
    target = tmp_path / f"target.{format}"
    said = ok(qemu_home("image", "convert", source, target, "-f", "json")).json
    assert (said["file"], said["format"]) == (str(target), format)
    ok(qemu_home("image", "compare", source, target))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [source.name, target.name]
    )


def test_convert_compresses(qemu_home, made, tmp_path):
    source = made("source.qcow2", "4M")
    qemu_io(source, "write -P 7 0 4M")
    small = tmp_path / "small.qcow2"
    ok(qemu_home("image", "convert", source, small, "--compress"))
    assert small.stat().st_size < source.stat().st_size / 4
    ok(qemu_home("image", "compare", source, small))
    refused = qemu_home(
        "image", "convert", source, tmp_path / "a.raw", "--compress"
    )
    assert refused.rc == 2
    assert "can't be compressed" in refused.err


def test_convert_overwrites_nothing(qemu_home, made):
    source, target = made("source.qcow2", "1M"), made("target.qcow2", "2M")
    before = target.read_bytes()
    refused = qemu_home("image", "convert", source, target)
    assert refused.rc == 4
    assert "exists already" in refused.err
    assert target.read_bytes() == before


def test_what_an_image_names_is_read_when_it_is_trusted(
    qemu_home, made, tmp_path
):
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 4096)
    evil = made("evil.qcow2", "--backing", secret, "--backing-format", "raw")
    target = tmp_path / "copy.raw"
    refused = qemu_home("image", "convert", evil, target)
    assert refused.rc == 2
    assert str(secret) in refused.err
    assert "--trust-image" in refused.err
    assert not target.exists()
    ok(qemu_home("image", "convert", evil, target, "--trust-image"))
    assert target.read_bytes() == secret.read_bytes()


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A directory with a qemu-img that copies 4 MiB a second."""
    directory = tmp_path / "slow"
    directory.mkdir()
    program = directory / "qemu-img"
    program.write_text(
        '#!/bin/sh\n[ "$1" = convert ] || exec qemu-img "$@"\nshift\n'
        'exec qemu-img convert -r 4M "$@"\n'
    )
    program.chmod(0o755)
    return directory


@contextlib.contextmanager
def converting(
    home: QemuHome, slow: Path, source: Path, target: Path
) -> Iterator[subprocess.Popen[str]]:
    """A copy that goes on for long."""
    setting = f"qemu.path={slow}"
    child = subprocess.Popen(
        [home.executable, "-c", setting, "image", "convert", source, target],
        env=home.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    partial = target.with_name(f".{target.name}.partial")
    try:
        until(lambda: (partial / target.name).exists())
        yield child
    finally:
        child.kill()
        child.communicate()


def converters(target: Path) -> list[int]:
    """The processes that write a copy."""
    written = f"/.{target.name}.partial/{target.name}\0".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().endswith(written):
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_copy_leaves_nothing(
    qemu_home, slow, data, tmp_path, signum
):
    target = tmp_path / "target.qcow2"
    with converting(qemu_home, slow, data, target) as child:
        child.send_signal(signum)
        assert child.wait(PATIENCE_S) in (130, 128 + signum)
        assert converters(target) == []
    assert {path.name for path in tmp_path.iterdir()} == {"slow", "data.raw"}


def test_a_killed_copy_leaves_no_half_image(qemu_home, slow, data, tmp_path):
    target = tmp_path / "target.qcow2"
    with converting(qemu_home, slow, data, target) as child:
        child.kill()
        child.wait()
        [orphan] = converters(target)
        os.kill(orphan, signal.SIGKILL)
        until(lambda: not converters(target))
    assert not target.exists()
    ok(qemu_home("image", "convert", data, target))
    ok(qemu_home("image", "compare", data, target))
    assert {path.name for path in tmp_path.iterdir()} == {
        *("slow", "data.raw", "target.qcow2")
    }


def test_two_copies_to_one_name(qemu_home, slow, data, tmp_path):
    target = tmp_path / "target.qcow2"
    with converting(qemu_home, slow, data, target):
        [pid] = converters(target)
        second = qemu_home("image", "convert", data, target)
        assert second.rc == 6
        assert f"(pid {pid})" in second.err


def test_progress_is_for_terminals(qemu_home, slow, data, tmp_path):
    words = ["-c", f"qemu.path={slow}", "image", "convert", str(data)]
    child = pexpect.spawn(
        str(qemu_home.executable),
        [*words, str(tmp_path / "seen.qcow2")],
        env=qemu_home.environment,
        timeout=PATIENCE_S,
    )
    try:
        child.expect(r"converting data.raw .*[1-9][0-9]? %")
    finally:
        child.close(force=True)
    os.truncate(data, MIB)
    assert ok(qemu_home(*words, tmp_path / "quiet.qcow2")).err == ""


def test_a_full_disk(qemu_home, data, short_dir):
    directory = short_dir / "t"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", directory]
    subprocess.run(mount, check=True)
    try:
        full = qemu_home("image", "convert", data, directory / "a.qcow2")
        assert full.rc == 1
        assert "No space left on device" in full.err
        assert f"make room on the file system of {directory}" in full.err
        assert list(directory.iterdir()) == []
        remount = ["mount", "-o", "remount,ro", directory]
        subprocess.run(remount, check=True)
        for words in (("create",), ("convert", data)):
            size = ("1M",) if words == ("create",) else ()
            refused = qemu_home("image", *words, directory / "a.raw", *size)
            assert refused.rc == 1
            assert "read-only for you" in refused.err
    finally:
        subprocess.run(["umount", "-l", directory], check=True)
