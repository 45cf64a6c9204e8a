"""qemu image, on real images, real VMs and with real faults."""

import contextlib
import csv
import json
import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from qemu_cli.testing.home import QemuHome, Result
from tests.functional.until import until

MIB = 1 << 20
PATIENCE_S = 60.0


def qemu_io(image: Path, *commands: str, format: str = "qcow2") -> None:
    words = [word for each in commands for word in ("-c", each)]
    subprocess.run(
        ["qemu-io", "-f", format, *words, image],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def ok(result: Result) -> Result:
    assert result.rc == 0, result.err
    return result


@pytest.fixture
def made(qemu_home: QemuHome, tmp_path: Path) -> Callable[..., Path]:
    """Make an image: ``made(NAME, SIZE, …)``."""

    def make(name: str, *words: str | Path) -> Path:
        ok(qemu_home("image", "create", tmp_path / name, *words))
        return tmp_path / name

    return make


# What is made


@pytest.mark.parametrize(
    ("name", "options", "format"),
    [
        ("a.qcow2", (), "qcow2"),
        ("a.raw", (), "raw"),
        ("a.img", (), "qcow2"),
        ("a.raw", ("--image-format", "qcow2"), "qcow2"),
        ("ü %s' b.vmdk", (), "vmdk"),
    ],
)
def test_create(qemu_home, tmp_path, name, options, format):
    path = tmp_path / name
    said = ok(
        qemu_home("image", "create", path, "3M", *options, "-f", "json")
    ).json
    assert (said["file"], said["format"]) == (str(path), format)
    assert said["virtual_size_bytes"] == 3 * MIB
    seen = ok(qemu_home("image", "info", path, "-f", "json")).json
    assert (seen["format"], seen["virtual_size_bytes"]) == (format, 3 * MIB)


def test_an_overlay(qemu_home, made, tmp_path, monkeypatch):
    base = made("base.qcow2", "4M")
    qemu_io(base, "write -P 7 1M 64k")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    top = Path("sub/top.qcow2")
    # As it is typed, from here, and not from the overlay's directory.
    ok(qemu_home("image", "create", top, "--backing", base.name))
    qemu_io(top, "read -P 7 1M 64k", "write -P 8 2M 64k")
    qemu_io(base, "read -P 0 2M 64k")
    larger = tmp_path / "larger.qcow2"
    words = ("image", "create", larger, "8M", "--backing", base)
    said = ok(qemu_home(*words, "-f", "json")).json
    assert said["virtual_size_bytes"] == 8 * MIB
    assert said["backing_format"] == "qcow2"


def test_what_create_refuses(qemu_home, made, tmp_path):
    base = made("base.qcow2", "4M")
    before = base.read_bytes()
    new = tmp_path / "new.qcow2"
    cases = [
        (4, "exists already", (base, "4M")),
        (2, "no size", (new,)),
        (2, "is not a size", (new, "much")),
        (2, "overlay is qcow2", (tmp_path / "a.vdi", "--backing", base)),
        (2, "is less than", (new, "1M", "--backing", base)),
        (3, "no image file", (new, "--backing", tmp_path / "gone")),
        (3, "no directory", (tmp_path / "gone" / "a.qcow2", "1M")),
        (2, "invalid choice", (new, "1M", "--image-format", "zip")),
    ]
    for code, text, words in cases:
        result = qemu_home("image", "create", *words)
        assert (result.rc, result.out) == (code, ""), result.err
        assert text in result.err
    assert os.listdir(tmp_path) == ["base.qcow2"]  # noqa: PTH208
    assert base.read_bytes() == before


# What is there


def test_info_of_a_chain(qemu_home, made):
    base = made("base.qcow2", "4M")
    qemu_io(base, "write -P 7 1M 64k")
    for words in (
        ("snapshot", "-c", "before", base),
        ("bitmap", "--add", base, "noted"),
        ("bitmap", "--add", "--disable", base, "resting"),
    ):
        subprocess.run(["qemu-img", *words], check=True)
    top = made("top.qcow2", "--backing", base)
    said = ok(qemu_home("image", "info", top, "-f", "json")).json
    assert said["backing_file"] == str(base)
    assert (said["used_by"], said["open_by"]) == ([], [])
    assert [layer["file"] for layer in said["chain"]] == [str(top), str(base)]
    below = said["chain"][1]
    assert below["problem"] is None
    assert [each["name"] for each in below["snapshots"]] == ["before"]
    assert [(b["name"], b["recording"]) for b in below["bitmaps"]] == [
        ("noted", True),
        ("resting", False),
    ]
    text = ok(qemu_home("image", "info", base)).out
    for words in ("before (20", "noted (recording)", "resting (not rec"):
        assert words in text
    for format in ("csv", "yaml", "value", "ndjson"):
        assert (
            str(top) in ok(qemu_home("image", "info", top, "-f", format)).out
        )


def test_info_of_broken_chains(qemu_home, made, tmp_path):
    base = made("base.qcow2", "4M")
    top = made("top.qcow2", "--backing", base)
    base.unlink()

    def below() -> dict:
        said = ok(qemu_home("image", "info", top, "-f", "json")).json
        return said["chain"][1]

    def rebase(name: str) -> None:
        words = ("rebase", "-u", "-F", "qcow2", "-b", name, top)
        subprocess.run(["qemu-img", *words], check=True)

    assert below()["problem"] == "it is missing"
    convert = ("image", "convert", top, tmp_path / "x.raw", "--trust-image")
    for words in (("image", "map", top), convert):
        refused = qemu_home(*words)
        assert refused.rc == 4
        assert "is missing" in refused.err
    # Its own tables can be checked all the same.
    assert ok(qemu_home("image", "check", top, "-f", "json")).json[
        "verdict"
    ] == ("ok")
    rebase("nbd://192.0.2.1/x")
    assert below()["file"] == "nbd://192.0.2.1/x"
    refused = qemu_home("image", "map", top)
    assert refused.rc == 2
    assert "no file of this host" in refused.err
    rebase(top.name)
    assert below()["problem"] == "it is its own base"
    base.write_bytes(b"QFI\xfb and nothing")
    rebase(base.name)
    assert "damaged" in below()["problem"]


@pytest.mark.parametrize("command", ["info", "check", "map"])
def test_what_is_no_image(qemu_home, tmp_path, command):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello")
    os.mkfifo(tmp_path / "fifo")
    for name, code in (
        ("gone", 3),
        (".", 2),
        ("empty", 2),
        ("text", 2),
        ("fifo", 2),
    ):
        result = qemu_home("image", command, tmp_path / name)
        assert (result.rc, result.out) == (code, ""), name
        assert str(tmp_path) in result.err


def test_map(qemu_home, made):
    base = made("base.qcow2", "4M")
    qemu_io(base, "write -P 7 0 1M")
    top = made("top.qcow2", "--backing", base)
    qemu_io(top, "write -P 8 1M 64k", "write -z 2M 64k")
    parts = ok(qemu_home("image", "map", top, "-f", "json")).json
    assert [
        (part["start_bytes"], part["kind"], Path(part["file"]).name)
        for part in parts
    ] == [
        (0, "data", "base.qcow2"),
        (MIB, "data", "top.qcow2"),
        (MIB + (64 << 10), "nothing", "base.qcow2"),
        (2 * MIB, "zero", "top.qcow2"),
        (2 * MIB + (64 << 10), "nothing", "base.qcow2"),
    ]
    assert sum(part["length_bytes"] for part in parts) == 4 * MIB
    content = top.read_bytes()[parts[1]["offset_bytes"] :]
    assert content[: 64 << 10] == b"\x08" * (64 << 10)
    table = ok(qemu_home("image", "map", top, "-f", "csv")).out
    assert len(list(csv.DictReader(table.splitlines()))) == len(parts)


# Soundness


def follow(image: Path, *places: int) -> int:
    """Follow 8-byte pointers in an image (docs/interop/qcow2.txt)."""
    at = 0
    with image.open("rb") as stream:
        for place in places:
            stream.seek(at + place)
            (at,) = struct.unpack(">Q", stream.read(8))
            at &= 0x00FFFFFFFFFFFE00
    return at


def lose(image: Path) -> None:
    """Make an image leak its first data cluster."""
    first_l2_table = follow(image, 40, 0)
    with image.open("r+b") as stream:
        stream.seek(first_l2_table)
        stream.write(bytes(8))


def spoil(image: Path) -> None:
    """Say of the second data cluster that nobody uses it."""
    cluster = follow(image, 40, 0, 8) >> 16
    first_refcounts = follow(image, 48, 0)
    with image.open("r+b") as stream:
        stream.seek(first_refcounts + 2 * cluster)
        stream.write(bytes(2))


def test_check_finds_and_mends(qemu_home, made):
    image = made("disk.qcow2", "4M")
    qemu_io(image, "write -P 7 0 64k", "write -P 8 64k 64k")
    said = ok(qemu_home("image", "check", image, "-f", "json")).json
    assert (said["verdict"], said["allocated_clusters"]) == ("ok", 2)

    lose(image)
    result = ok(qemu_home("image", "check", image, "-f", "json"))
    assert (result.json["verdict"], result.json["leaks"]) == ("leaks", 1)
    assert f"qemu image check {image} --repair leaks" in result.err
    repair = ("image", "check", image, "--repair")
    said = ok(qemu_home(*repair, "leaks", "-f", "json")).json
    assert (said["verdict"], said["leaks_fixed"]) == ("ok", 1)

    spoil(image)
    result = qemu_home("image", "check", image, "-f", "json")
    assert (result.rc, result.json["verdict"]) == (1, "damaged")
    assert result.json["corruptions"] >= 1
    said = ok(qemu_home(*repair, "all", "-f", "json")).json
    assert said["corruptions_fixed"] >= 1
    assert said["verdict"] == "ok"


def test_check_says_what_can_not_be_checked(qemu_home, made):
    result = qemu_home("image", "check", made("a.raw", "1M"))
    assert result.rc == 2
    assert "no tables" in result.err


def test_compare(qemu_home, made, tmp_path):
    one = made("one.qcow2", "4M")
    qemu_io(one, "write -P 7 1M 64k")
    other = tmp_path / "other.raw"
    ok(qemu_home("image", "convert", one, other))
    words = ("image", "compare", one, other, "-f", "json")
    said = ok(qemu_home(*words)).json
    assert (said["same"], said["difference_bytes"]) == (True, None)
    os.truncate(other, 5 * MIB)
    said = ok(qemu_home(*words)).json
    assert said["same"] is True
    assert said["other_size_bytes"] == 5 * MIB
    qemu_io(other, "write -P 9 2M 1k", format="raw")
    result = qemu_home(*words)
    assert (result.rc, result.json["same"]) == (1, False)
    assert result.json["difference_bytes"] == 2 * MIB


# Copies


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


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """64 MiB that are not zero."""
    source = tmp_path / "data.raw"
    source.write_bytes(os.urandom(MIB) * 64)
    return source


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


# Images that somebody uses

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")


@pytest.fixture(scope="module")
def home() -> Iterator[QemuHome]:
    """A VM that runs, ``up``, and one that does not, ``down``."""
    directory = Path("/tmp") / f"q-image-{os.getpid()}"
    directory.mkdir()
    home = QemuHome(directory / "h")
    disks = ("--disk", "8M", "--disk", "8M,format=raw")
    try:
        ok(home("create", "up", *disks, *SMALL, "--start"))
        ok(home("create", "down", *disks, *SMALL))
        yield home
    finally:
        home.close()
        shutil.rmtree(directory)


def test_the_image_of_a_running_vm_can_be_looked_at(home, tmp_path):
    disk = home.paths.instance("up").directory / "disk0.qcow2"
    [row] = home("list", "up", "-f", "json").json
    said = ok(home("image", "info", disk, "-f", "json")).json
    [holder] = said["open_by"]
    assert (holder["pid"], holder["vm"]) == (row["pid"], "up")
    assert holder["writes"] is True
    [use] = said["used_by"]
    assert (use["vm"], use["part"], use["writes"]) == ("up", "disk0", True)
    mapped = ok(home("image", "map", disk))
    assert f"pid {row['pid']}" in mapped.err
    checked = ok(home("image", "check", disk, "-f", "json"))
    assert checked.json["verdict"] == "ok"
    assert "is being written to" in checked.err


def test_the_image_of_a_running_vm_is_not_read_nor_written(home, tmp_path):
    disk = home.paths.instance("up").directory / "disk0.qcow2"
    raw = home.paths.instance("up").directory / "disk1.raw"
    [row] = home("list", "up", "-f", "json").json
    target = tmp_path / "new.qcow2"
    for code, words in (
        (6, ("convert", disk, target)),
        (6, ("convert", raw, target)),
        (6, ("compare", disk, raw)),
        (6, ("check", disk, "--repair", "all")),
    ):
        refused = home("image", *words)
        assert refused.rc == code, refused.err
        assert f"'up' (qemu-system-x86_64, pid {row['pid']})" in refused.err
        assert "hint: " in refused.err
    refused = home("image", "create", target, "--backing", disk)
    assert refused.rc == 4
    assert "disk0 of 'up'" in refused.err
    assert list(tmp_path.iterdir()) == []


def test_the_base_of_a_vm_is_not_written(home, tmp_path):
    base = tmp_path / "base.qcow2"
    ok(home("image", "create", base, "8M"))
    ok(home("create", "over", "--image", base, *SMALL))
    try:
        [use] = ok(home("image", "info", base, "-f", "json")).json["used_by"]
        assert (use["vm"], use["part"]) == ("over", "base of disk0.qcow2")
        refused = home("image", "check", base, "--repair", "leaks")
        assert refused.rc == 4
        assert "base of disk0.qcow2 of 'over'" in refused.err
        # To be read, or to stand below one more, it is free.
        ok(home("image", "convert", base, tmp_path / "copy.raw"))
        ok(home("image", "create", tmp_path / "t.qcow2", "--backing", base))
    finally:
        ok(home("delete", "over", "--yes"))


def test_the_image_of_a_stopped_vm(home, tmp_path):
    directory = home.paths.instance("down").directory
    disk = directory / "disk0.qcow2"
    qemu_io(disk, "write -P 7 0 64k")
    ok(home("image", "convert", disk, tmp_path / "copy.raw"))
    lose(disk)
    said = ok(
        home("image", "check", disk, "--repair", "leaks", "-f", "json")
    ).json
    assert (said["verdict"], said["leaks_fixed"]) == ("ok", 1)
    refused = home("image", "create", tmp_path / "t.qcow2", "--backing", disk)
    assert refused.rc == 4
    assert "'qemu clone down NEW'" in refused.err


def test_a_raw_disk_is_never_probed(home, tmp_path):
    """Its guest can write what looks like another format."""
    raw = home.paths.instance("down").directory / "disk1.raw"
    fake = tmp_path / "fake.qcow2"
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * MIB)
    words = ("create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", fake)
    subprocess.run(["qemu-img", *words], check=True)
    with raw.open("r+b") as stream:
        stream.write(fake.read_bytes())
    said = ok(home("image", "info", raw, "-f", "json")).json
    assert (said["format"], said["backing_file"]) == ("raw", None)
    ok(home("image", "convert", raw, tmp_path / "copy.raw"))
    assert (tmp_path / "copy.raw").read_bytes() == raw.read_bytes()
    wrong = home("image", "info", raw, "--image-format", "qcow2")
    assert wrong.rc == 2
    assert "is raw, not qcow2" in wrong.err


def test_the_disk_of_a_saved_vm_is_not_written(home):
    ok(home("create", "kept", "--disk", "8M", *SMALL, "--start"))
    try:
        ok(home("save", "kept"))
        disk = home.paths.instance("kept").directory / "disk0.qcow2"
        refused = home("image", "check", disk, "--repair", "all")
        assert refused.rc == 4
        assert "saved state of 'kept'" in refused.err
        ok(home("image", "check", disk))
    finally:
        ok(home("delete", "kept", "--yes"))


def test_an_image_that_another_program_holds(qemu_home, made, tmp_path):
    image = made("disk.qcow2", "4M")
    holder = subprocess.Popen(
        ["qemu-io", "-f", "qcow2", image],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdin
        assert holder.stdout
        holder.stdin.write(b"length\n")
        holder.stdin.flush()
        holder.stdout.readline()  # it is open now
        who = f"qemu-io (pid {holder.pid})"
        for words in (
            ("check", image, "--repair", "all"),
            ("convert", image, tmp_path / "copy.raw"),
            ("compare", image, image),
            ("create", tmp_path / "top.qcow2", "--backing", image),
        ):
            refused = qemu_home("image", *words)
            assert refused.rc == 6, refused.err
            assert who in refused.err
        said = ok(qemu_home("image", "info", image)).out
        assert f"{who}, writes" in said
    finally:
        holder.communicate(b"quit\n")
    assert (
        json.loads(ok(qemu_home("image", "info", image, "-f", "json")).out)[
            "open_by"
        ]
        == []
    )
