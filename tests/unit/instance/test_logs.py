"""The last lines of a file."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemu_cli.instance import logs


@pytest.mark.parametrize(
    ("text", "lines", "tail"),
    [
        (b"", 3, b""),
        (b"one\n", 3, b"one\n"),
        (b"one\ntwo\nthree\n", 2, b"two\nthree\n"),
        (b"one\ntwo\nguest# ", 2, b"two\nguest# "),
        (b"one\n\n\n", 2, b"\n\n"),
        (b"one\ntwo\n", 0, b""),
        (b"one\ntwo\n", None, b"one\ntwo\n"),
    ],
)
def test_the_last_lines(
    tmp_path: Path, text: bytes, lines: int | None, tail: bytes
) -> None:
    path = tmp_path / "log"
    path.write_bytes(text)
    offset = logs.tail_offset(path, lines)
    assert b"".join(logs.read(path, offset)) == tail


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert logs.tail_offset(path, 5) == 0
    assert list(logs.read(path, 0)) == []


@given(
    st.lists(st.binary(max_size=12).filter(lambda b: b"\n" not in b)),
    st.integers(1, 20),
    st.booleans(),
)
def test_whatever_the_blocks_are(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[bytes],
    lines: int,
    ended: bool,
) -> None:
    path = tmp_path_factory.getbasetemp() / "log"
    text = b"\n".join(written) + b"\n" * ended
    path.write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "_BLOCK_BYTES", 5)
        tail = text[logs.tail_offset(path, lines) :]
    every = re.findall(rb"[^\n]*\n|[^\n]+", text)
    assert tail == b"".join(every[-lines:])
