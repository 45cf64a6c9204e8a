"""qemu image: formats that are said, not recognized."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome

MIB = 1 << 20

Write = Callable[..., Path]


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    """A raw image whose first bytes are those of a qcow2 image.

    So it is when a guest uses its disk for virtual machines of its own.
    """
    path = tmp_path / "inner.raw"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 5 0 1M", path)
    with path.open("r+b") as stream:
        stream.truncate(4 * MIB)
    return path


def run(*words: str | Path) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_compare(qemu_home: QemuHome, inner: Path, tmp_path: Path) -> None:
    same = tmp_path / "same.qcow2"
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", inner, same)
    words = ("image", "compare", inner, same, "-f", "json")
    raw = qemu_home(*words, "--image-format", "raw")
    assert (raw.rc, raw.json["same"]) == (0, True), raw.err
    # Recognized, it is what it looks like.
    guessed = qemu_home(*words)
    assert (guessed.rc, guessed.json["same"]) == (1, False), guessed.err
    swapped = qemu_home(
        *("image", "compare", same, inner, "--other-format", "raw"),
        *("--image-format", "qcow2", "-f", "json"),
    )
    assert (swapped.rc, swapped.json["same"]) == (0, True), swapped.err
    # Both at once, of what is one file twice.
    assert (
        qemu_home(
            *("image", "compare", inner, inner, "--image-format", "raw"),
            *("--other-format", "raw"),
        ).rc
        == 0
    )
    wrong = qemu_home(*words, "--other-format", "vmdk")
    assert wrong.rc == 1
    assert "same.qcow2" in wrong.err
    unknown = qemu_home(*words, "--other-format", "iso")
    assert unknown.rc == 2
    assert "qcow2" in unknown.err


@pytest.mark.parametrize("target_format", ["raw", "qcow2", "vmdk"])
def test_convert(
    qemu_home: QemuHome, inner: Path, tmp_path: Path, target_format: str
) -> None:
    """--to is stronger than the ending of the target's name."""
    target = tmp_path / "target.vdi"
    made = qemu_home(
        *("image", "convert", inner, target, "--image-format", "raw"),
        *("--to", target_format, "-f", "json"),
    )
    assert made.rc == 0, made.err
    assert made.json["format"] == target_format
    assert made.json["virtual_size_bytes"] == 4 * MIB
    run("qemu-img", "compare", "-f", "raw", "-F", target_format, inner, target)
    unknown = qemu_home("image", "convert", inner, target, "--to", "iso")
    assert unknown.rc == 2


def test_a_wrong_format_makes_nothing(
    qemu_home: QemuHome, inner: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target.raw"
    refused = qemu_home(
        *("image", "convert", inner, target, "--image-format", "vmdk")
    )
    assert refused.rc == 1
    assert "inner.raw" in refused.err
    assert [path.name for path in tmp_path.iterdir()] == ["inner.raw"]


@pytest.mark.parametrize(
    ("words", "columns"),
    [
        (("map",), "kind,length_bytes"),
        (("info",), "virtual_size_bytes,format"),
        (("check",), "verdict,errors"),
    ],
)
def test_columns(
    qemu_home: QemuHome, tmp_path: Path, words: tuple[str], columns: str
) -> None:
    image = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", image, "1M")
    shown = qemu_home(
        *("image", *words, image, "--columns", columns, "-f", "json")
    )
    assert shown.rc == 0, shown.err
    row = shown.json[0] if isinstance(shown.json, list) else shown.json
    assert list(row) == columns.split(",")
    wrong = qemu_home("image", *words, image, "--columns", "colour")
    assert wrong.rc == 2
    assert columns.split(",")[0] in wrong.err
