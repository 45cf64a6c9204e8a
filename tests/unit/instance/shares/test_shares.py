"""Shares: what is typed, which program serves, what is not shared."""

import os
from pathlib import Path

import pytest

from qemu_cli.config import Config
from qemu_cli.errors import (
    NotFoundError,
    QemuCliError,
    RefusedError,
    StateError,
    UsageError,
)
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Share
from qemu_cli.instance.shares import choose, virtiofsd
from qemu_cli.instance.shares.rows import mount_command
from qemu_cli.instance.shares.wish import ShareWish, parse_share
from qemu_cli.paths import Paths

#: What the two say of themselves; the first lines of their options.
IN_C = "usage: virtiofsd [options]\n  -o source=PATH  shared directory tree"
IN_RUST = "Options:\n  --shared-dir <SHARED_DIR>\n  --socket-path <PATH>\n"


@pytest.mark.parametrize(
    ("text", "directory", "tag", "read_only"),
    [
        ("src", "src", "src", False),
        ("src:code", "src", "code", False),
        ("src:code,ro", "src", "code", True),
        ("src,ro", "src", "src", True),
        ("src,rw", "src", "src", False),
        ("./src/", "src", "src", False),
        ("odd:name", "odd:name", "odd-name", False),
        ("odd:name:tag", "odd:name", "tag", False),
        ("with,ro", "with,ro", "with-ro", False),
        ("with,ro,ro", "with,ro", "with-ro", True),
    ],
)
def test_what_is_typed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    directory: str,
    tag: str,
    read_only: bool,
) -> None:
    for name in ("src", "odd:name", "with,ro"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_share(text) == ShareWish(tmp_path / directory, tag, read_only)


def test_the_home_and_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_share("~").directory == tmp_path
    assert parse_share("/").tag == "root"


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", UsageError, "names no directory"),
        (":tag", UsageError, "names no directory"),
        ("/nowhere", NotFoundError, "there is no directory /nowhere"),
        ("/etc/passwd", UsageError, "is no directory"),
        ("/etc:a/b", UsageError, "is no tag"),
        (f"/etc:{'x' * 32}", UsageError, "is no tag"),
        ("/etc:", UsageError, "is no tag"),
    ],
)
def test_what_makes_no_sense(
    text: str, error: type[QemuCliError], said: str
) -> None:
    with pytest.raises(error, match=said):
        parse_share(text)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A directory with a virtiofsd, which says what the test writes."""
    (tmp_path / "bin").mkdir()
    file = tmp_path / "bin" / "virtiofsd"
    file.touch(mode=0o755)
    return file


def says(program: Path, words: str) -> Config:
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{words}\nEOF\n")
    return config(QEMU_CLI_CONFIG_QEMU_PATH=str(program.parent))


def config(**environ: str) -> Config:
    none = Path("/nowhere")
    return Config(user=none, system=none, environ=environ, overrides={})


def test_the_one_in_rust(program: Path) -> None:
    found = virtiofsd.find(says(program, IN_RUST))
    assert found == virtiofsd.Virtiofsd(str(program), False, False)
    mine = says(program, IN_RUST + "  --readonly\n")
    assert virtiofsd.find(mine).read_only


def test_the_one_in_c_is_for_root(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = says(program, IN_C)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert virtiofsd.find(mine).in_c
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StateError, match="wants to be run by root"):
        virtiofsd.find(mine)


def test_it_is_found_by_its_description(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    says(program, IN_RUST)
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for directory, binary in ((mine, program), (theirs, "/nowhere")):
        directory.mkdir()
        (directory / "50-virtiofsd.json").write_text(
            f'{{"type": "fs", "binary": "{binary}"}}'
        )
    (theirs / "10-gpu.json").write_text('{"type": "gpu", "binary": "/a"}')
    (theirs / "20-broken.json").write_text("{")
    monkeypatch.setattr(virtiofsd, "_PLACES", ())
    monkeypatch.setattr(virtiofsd, "_DESCRIPTIONS", (mine, theirs))
    assert virtiofsd.find(config()).path == str(program)
    # A file of the same name hides the other one.
    monkeypatch.setattr(virtiofsd, "_DESCRIPTIONS", (theirs, mine))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotFoundError, match="there is no virtiofsd"):
        virtiofsd.find(config())


def share(driver: str, **fields: object) -> Share:
    wanted = {"id": "share1", "tag": "t", "directory": "/a,b", "slot": "rp1"}
    return Share(**{**wanted, "driver": driver, **fields})  # type: ignore[arg-type]


def test_how_each_is_run(paths: Paths) -> None:
    vm = paths.instance("web")
    socket = vm.share_socket("share1")
    in_c = virtiofsd.Virtiofsd("/v", in_c=True, read_only=False)
    words = virtiofsd.helper(in_c, share("virtiofs"), vm)
    assert words[:2] == ("sh", "-c")
    assert words[4] == str(socket)
    assert f"--socket-path={socket}" in words
    assert "source=/a\\,b" in words
    rust = virtiofsd.Virtiofsd("/v", in_c=False, read_only=True)
    words = virtiofsd.helper(rust, share("virtiofs", read_only=True), vm)
    assert "--shared-dir=/a,b" in words
    assert "--readonly" in words


def test_what_the_guest_types() -> None:
    assert mount_command(share("virtiofs")) == "mount -t virtiofs t /mnt"
    assert mount_command(share("9p", read_only=True)).startswith(
        "mount -t 9p -o ro,trans=virtio,version=9p2000.L,"
    )


@pytest.fixture
def host(paths: Paths, program: Path) -> Host:
    return Host(paths, says(program, IN_RUST), *[None] * 6)  # type: ignore[arg-type]


def test_the_better_driver_that_works(
    host: Host, program: Path, tmp_path: Path
) -> None:
    wish = ShareWish(tmp_path / "bin", "t")
    assert choose.choose(host, wish).driver == "virtiofs"
    reading = ShareWish(tmp_path / "bin", "t", read_only=True)
    assert choose.choose(host, reading).driver == "9p"
    forced = ShareWish(tmp_path / "bin", "t", True, "virtiofs")
    with pytest.raises(StateError, match="can't keep a guest from writing"):
        choose.choose(host, forced)
    says(program, IN_RUST + "--readonly")
    assert choose.choose(host, reading).driver == "virtiofs"
    forced = ShareWish(tmp_path / "bin", "t", driver="9p")
    assert choose.choose(host, forced).driver == "9p"


def test_no_guest_writes_its_own_definition(
    host: Host, tmp_path: Path
) -> None:
    instances = host.paths.instances
    (instances / "web").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(instances)
    for directory in (
        *(instances, instances / "web", instances.parent, Path("/"), link),
    ):
        with pytest.raises(RefusedError, match="run what it likes"):
            choose.choose(host, ShareWish(directory, "t"))
        choose.choose(host, ShareWish(directory, "t", read_only=True))
    choose.choose(host, ShareWish(tmp_path / "bin", "t"))
