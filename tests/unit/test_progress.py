"""How far things are, and how fast."""

import fcntl
import os
import pty
import select
import struct
import termios

import pytest

from qemu_cli.progress import Bars, Pace


def paced(*seen):
    pace = Pace()
    for at, done in seen:
        pace.add(done, at=at)
    return pace


@pytest.mark.parametrize(
    ("seen", "rate"),
    [
        ([], None),
        ([(0, 5)], None),
        ([(0, 5), (0.1, 50)], None),  # too early to say
        ([(0, 0), (2, 10)], 5),
        ([(0, 0), (2, 10), (4, 10)], 2.5),
        ([(0, 0), (2, 10), (4, 5)], 1.25),
        ([(0, 10), (2, 5)], None),  # it has begun again
        ([(0, 0), (100, 1000), (105, 1010), (112, 1010)], 10 / 12),
    ],
)
def test_a_rate_is_of_the_last_seconds(seen, rate):
    assert paced(*seen).rate == rate


def test_what_is_left():
    pace = paced((0, 0), (2, 10))
    assert pace.left_s(10, 60) == 10
    assert pace.left_s(60, 60) == 0
    assert pace.left_s(60, 0) is None
    assert paced((0, 0), (2, 0)).left_s(0, 60) is None
    assert paced((0, 0)).left_s(0, 60) is None


@pytest.fixture
def terminal():
    """Both ends of a terminal, 40 columns wide."""
    ours, theirs = pty.openpty()
    size = struct.pack("HHHH", 24, 40, 0, 0)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    with os.fdopen(theirs, "w") as stream:
        yield ours, stream
    os.close(ours)


def shown(terminal: int) -> str:
    """All that was written so far; it comes in pieces."""
    text = b""
    while select.select([terminal], [], [], 0.3)[0]:
        text += os.read(terminal, 4096)
    return text.decode()


def test_several_share_a_line_that_never_wraps(terminal, monkeypatch):
    ours, stream = terminal
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    bars = Bars(stream)
    with bars.bar("one", "") as one:
        one(1, 4)
        with bars.bar("two", "") as two:
            two(1, 2)
            one(3, 4)
        one(2, 4)
        with bars.bar("a name that is as long as the line is", "") as long:
            long(0, 0)
    text = shown(ours)
    assert text.split("\r\x1b[K") == [
        "",
        "one  25 %",
        "one  25 % | two  50 %",
        "one  75 % | two  50 %",
        "one  75 %",
        "one  50 %",
        "one  50 % | a name that is as long as t",
        "one  50 %",
        "",
    ]


def test_rate_and_time_left(terminal, monkeypatch):
    ours, stream = terminal
    now = iter([100.0, 102.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    with Bars(stream).bar("copy", "B") as show:
        show(0, 8 << 20)
        show(2 << 20, 8 << 20)
    text = shown(ours)
    assert "copy  25 %, 1.0 MiB/s, 6s left" in text
