"""qcow2 headers, built byte by byte; real ones are functional tests."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qemu_cli.errors import QemuCliError
from qemu_cli.storage import header


def qcow2(
    *extensions: tuple[int, bytes], backing: bytes = b"", version: int = 3
) -> bytes:
    """Build the beginning of an image."""
    length = 104 if version == 3 else 72
    tail = b"".join(
        struct.pack(">II", kind, len(data))
        + data.ljust((len(data) + 7) // 8 * 8, b"\0")
        for kind, data in (*extensions, (0, b""))
    )
    start = struct.pack(
        ">4sIQI",
        *(b"QFI\xfb", version),
        *(length + len(tail) if backing else 0, len(backing)),
    ).ljust(length, b"\0")
    if version == 3:
        start = start[:100] + struct.pack(">I", length)
    return start + tail + backing


@pytest.mark.parametrize("version", [2, 3])
def test_names(tmp_path: Path, version: int) -> None:
    image = tmp_path / "image"
    image.write_bytes(
        qcow2(
            (0x6803F857, b"a feature name table, to be skipped"),
            (0xE2792ACA, b"raw"),
            (0x44415441, b"data.raw"),
            backing=b"base.img",
            version=version,
        )
    )
    assert header.read(image) == (
        *("base.img", "raw", "data.raw"),
        version,
    )


def test_image_of_its_own(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(qcow2())
    assert header.read(image) == (None, None, None, 3)


@pytest.mark.parametrize("content", [b"", b"QFI", b"\0" * 512])
def test_not_qcow2(tmp_path: Path, content: bytes) -> None:
    image = tmp_path / "image"
    image.write_bytes(content)
    assert header.read(image) is None


def test_every_cut_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    whole = qcow2((0xE2792ACA, b"raw"), backing=b"base.img")
    image = tmp_path / "image"
    for length in range(4, len(whole)):
        image.write_bytes(whole[:length])
        with pytest.raises(QemuCliError, match=str(image)):
            header.read(image)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_garbage_is_read_or_refused(tmp_path_factory, rest: bytes) -> None:
    image = tmp_path_factory.getbasetemp() / "garbage"
    image.write_bytes(b"QFI\xfb" + rest)
    try:
        found = header.read(image)
    except QemuCliError:
        return
    assert found is not None
