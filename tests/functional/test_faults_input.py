"""Bad input: a clear error, the right exit code, and nothing left."""

import subprocess
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome, Result

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")


def qemu_img(verb: str, *words: str | Path) -> None:
    subprocess.run(["qemu-img", verb, *words], check=True, timeout=60)


def refused(home: QemuHome, *words: str | Path, rc: int = 2) -> Result:
    """Run what must fail; nothing may be left of it, and no traceback."""
    result = home(*words)
    assert result.rc == rc, result.err
    assert result.err.startswith("qemu: error: ")
    assert "Traceback" not in result.err
    assert "internal error" not in result.err
    assert home("list", "-q").out == ""
    left = [
        path
        for path in home.paths.instances.glob("*")
        if path.name not in (".locks", ".pending")
    ]
    assert left == []
    return result


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a/b", "'/' is not allowed"),
        ("..", "'.' is not allowed at its start"),
        ("../x", "'/' is not allowed"),
        ("two words", "a space is not allowed"),
        ("", "empty"),
        ("x" * 300, "300 characters"),
        ("größe", "U+00F6"),
        ("виртуалка", "U+0432"),
        ("a\nb", "U+000A"),
        ("all", "a word of ours"),
        ("web.lock", ".lock"),
    ],
)
def test_names(qemu_home: QemuHome, name: str, why: str) -> None:
    assert why in refused(qemu_home, "create", name, *SMALL).err


def test_a_name_that_looks_like_an_option(qemu_home: QemuHome) -> None:
    refused(qemu_home, "create", "-x", *SMALL)
    assert "'-' is not allowed at its start" in (
        refused(qemu_home, "create", *SMALL, "--", "-x").err
    )


@pytest.mark.parametrize(
    "name", ["a/b", "..", "", "x" * 300, "größe", "-x", "all"]
)
@pytest.mark.parametrize("verb", ["clone", "rename"])
def test_new_names(qemu_home: QemuHome, verb: str, name: str) -> None:
    assert qemu_home("create", "vm", *SMALL).rc == 0
    result = qemu_home(verb, "--", "vm", name)
    assert result.rc == 2, result.err
    assert qemu_home("list", "-q").out == "vm\n"


@pytest.mark.parametrize(
    "size", ["-1", "2X", "1e99", "0", "1.2.3", "9999999T"]
)
def test_sizes(qemu_home: QemuHome, size: str) -> None:
    assert "size" in refused(qemu_home, "create", "a", f"--memory={size}").err
    refused(qemu_home, "create", "a", f"--disk={size}")


def test_images_that_are_none(qemu_home: QemuHome, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not an image\n")
    empty = tmp_path / "empty.img"
    empty.touch()
    for file, rc, why in (
        (tmp_path / "missing.qcow2", 3, "there is no image file"),
        (text, 2, "does not look like an image"),
        (tmp_path, 2, "is a directory"),
        (empty, 2, "is empty"),
        (Path("/dev/null"), 2, "is a special file"),
    ):
        result = refused(qemu_home, "create", "a", "--image", file, rc=rc)
        assert why in result.err
        assert str(file) in result.err


def test_an_image_that_refers_to_another(
    qemu_home: QemuHome, tmp_path: Path
) -> None:
    base, top = tmp_path / "base.raw", tmp_path / "top.qcow2"
    base.write_bytes(bytes(1 << 20))
    qemu_img("create", "-f", "qcow2", "-b", base, "-F", "raw", top)
    words = ("create", "a", "--image", top, *SMALL)
    result = refused(qemu_home, *words)
    assert str(base) in result.err
    assert "--trust-image" in result.err
    assert qemu_home(*words, "--trust-image").rc == 0


def test_a_raw_disk_stays_raw(qemu_home: QemuHome, tmp_path: Path) -> None:
    """Its guest wrote a qcow2 header that names a file of the host."""
    secret, disk = tmp_path / "secret", tmp_path / "guest.raw"
    secret.write_bytes(b"secret".ljust(1 << 20, b"!"))
    qemu_img("create", "-f", "qcow2", "-b", secret, "-F", "raw", disk, "1M")
    with disk.open("ab") as stream:
        stream.truncate(1 << 20)
    header = disk.read_bytes()
    # As an image that comes in, it is what its header says, and refused.
    refused(qemu_home, "create", "a", "--image", disk, *SMALL)
    # As a raw one it is bytes, in all that is made of it.
    option = f"{disk},format=raw"
    made = qemu_home("create", "a", "--disk", option, "--in-place", *SMALL)
    assert made.rc == 0, made.err
    assert qemu_home("start", "a", "--paused").rc == 0
    assert qemu_home("quit", "a").rc == 0
    for words in (("full", "--full"), ("linked",)):
        cloned = qemu_home("clone", "a", *words)
        assert cloned.rc == 0, cloned.err
    copy = qemu_home.paths.instance("full").directory / "disk0.raw"
    assert copy.read_bytes() == header
    assert disk.read_bytes() == header
    overlay = qemu_home.paths.instance("linked").directory / "disk0.qcow2"
    seen = tmp_path / "seen"
    qemu_img("convert", "-f", "qcow2", "-O", "raw", overlay, seen)
    assert seen.read_bytes() == header


def test_no_qemu_for_the_architecture(qemu_home: QemuHome) -> None:
    result = refused(qemu_home, "create", "a", "--arch", "xtensa", rc=3)
    assert "no QEMU for the architecture xtensa" in result.err
    assert "apt install" in result.err
    refused(qemu_home, "create", "a", "--arch", "no such thing", rc=3)


def test_a_path_too_long_for_sockets(
    qemu_home: QemuHome, short_dir: Path
) -> None:
    home = QemuHome(short_dir / ("d" * 90))
    assert home("create", "vm", *SMALL).rc == 0
    started = home("start", "vm")
    assert started.rc == 4
    assert "Linux takes 100" in started.err
    assert "QEMU_CLI_HOME" in started.err
    assert not list(home.paths.pending.iterdir())
    # A long name alone is no reason: it is shortened.
    name = "n" * 64
    assert qemu_home("create", name, *SMALL).rc == 0
    started = qemu_home("start", name, "--paused")
    assert started.rc == 0, started.err
    assert qemu_home("list", "-f", "json").json[0]["state"] == "paused"
    assert qemu_home("quit", name).rc == 0
