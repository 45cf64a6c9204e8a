"""What a guest wrote, made harmless; whole and in pieces."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemu_cli.command.guest_text import GuestText


def whole(data: bytes) -> str:
    text = GuestText()
    return text.feed(data) + text.feed(b"", final=True)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"plain \xc3\xa4\ttext\n", "plain ä\ttext\n"),
        (b"a\r\nb\r\r\nc\rd", "a\nb\nc\nd"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b[2J\x1b[10;20Hhere", "here"),
        (b"\x1b]0;title\x07x\x1b]0;title\x1b\\y", "xy"),
        (b"\x1bP$q\x1b\\z", "z"),
        (b"\x1b(B\x1b7\x1b8\x1bcw", "w"),
        (b"bell\x07 del\x7f nul\x00", "bell\\x07 del\\x7f nul\\x00"),
        ("\x9b31m\u202e".encode(), "\\x9b31m\\u202e"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"cut \x1b[3", "cut \\x1b[3"),
        (b"cut \x1b]0;ti", "cut \\x1b]0;ti"),
    ],
)
def test_what_is_shown(written: bytes, shown: str) -> None:
    assert whole(written) == shown


def test_a_sequence_in_two_pieces() -> None:
    text = GuestText()
    assert text.feed(b"a\x1b[3") == "a"
    assert text.feed(b"1mb\xc3") == "b"
    assert text.feed(b"\xa4\r") == "ä"
    assert text.feed(b"\nc") == "\nc"


def test_a_prompt_is_not_kept_back() -> None:
    assert GuestText().feed(b"login: ") == "login: "


def test_a_sequence_without_end_is_not_waited_for() -> None:
    text = GuestText()
    shown = text.feed(b"\x1b]0;" + b"x" * 5000)
    assert shown.startswith("\\x1b]0;xxx")


_BYTES = st.lists(
    st.sampled_from(
        [bytes([n]) for n in b"\x1b[]0;m\x07\r\nx\\\xc3\xa4P(\x00"]
    ),
    max_size=40,
)


@given(_BYTES)
def test_nothing_that_steers_a_terminal_comes_through(
    parts: list[bytes],
) -> None:
    shown = whole(b"".join(parts))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


@given(_BYTES, st.integers(0, 40))
def test_pieces_make_no_difference(parts: list[bytes], cut: int) -> None:
    data = b"".join(parts)
    text = GuestText()
    shown = text.feed(data[:cut]) + text.feed(data[cut:])
    assert shown + text.feed(b"", final=True) == whole(data)
