"""Tables of snapshots, built byte by byte; real ones: functional tests."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemu_cli.errors import QemuCliError
from qemu_cli.storage import snapshot_table
from qemu_cli.storage.images import Snapshot

TABLE_AT = 512


def image_with(*entries: tuple[str, bytes]) -> bytes:
    """An image that has a table of these names and further data."""
    table = b""
    for number, (name, more) in enumerate(entries, 1):
        entry = struct.pack(
            ">QIHHIIQII",
            *(0, 1, len(str(number)), len(name)),
            *(60 * number, 0, 0, 5, len(more)),
        )
        entry += more + str(number).encode() + name.encode()
        table += entry.ljust((len(entry) + 7) // 8 * 8, b"\0")
    image = bytearray(b"QFI\xfb".ljust(TABLE_AT, b"\0"))
    image[60:72] = struct.pack(">IQ", len(entries), TABLE_AT)
    return bytes(image) + table


def test_what_a_table_has(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(
        image_with(
            ("of version 2", b""),
            ("with RAM", struct.pack(">Q", 6 << 32)),
            ("newest", struct.pack(">QQQ", 7, 3 << 40, 0)),
        )
    )
    assert snapshot_table.read(image) == (
        Snapshot("1", "of version 2", 5, 60),
        Snapshot("2", "with RAM", 6 << 32, 120),
        Snapshot("3", "newest", 7, 180, 3 << 40),
    )
    image.write_bytes(image_with())
    assert snapshot_table.read(image) == ()
    image.write_bytes(b"raw")
    assert snapshot_table.read(image) == ()


@given(cut=st.integers(5, TABLE_AT + 40 + 16))
def test_a_table_that_is_cut(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    image = tmp_path_factory.mktemp("i") / "image"
    whole = image_with(("first", struct.pack(">QQ", 0, 1 << 20)))
    image.write_bytes(whole[:cut])
    with pytest.raises(QemuCliError, match="damaged table of snapshots"):
        snapshot_table.read(image)
