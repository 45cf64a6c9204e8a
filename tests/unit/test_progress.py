"""How far things are, and how fast."""

import fcntl
import importlib
import io
import os
import pty
import re
import select
import struct
import termios

import pytest

from qemu_cli.progress import Bars, Pace
from qemu_cli.ui import UI


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


@pytest.fixture
def clock(monkeypatch):
    """A clock that somebody else moves."""
    importlib.import_module("rich.progress")  # it keeps the clock it finds
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_each_has_a_line_that_never_wraps(terminal, clock):
    ours, stream = terminal
    bars = Bars(stream)
    with bars.bar("one", "") as one:
        clock[0] += 1
        one(1, 4)
        with bars.bar("a name that is as long as the line is", "") as long:
            clock[0] += 1
            long(0, 0)
            one(3, 4)
            clock[0] += 1
            long(0, 0)
            text = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", shown(ours))
            lines = re.split(r"[\r\n]+", text)
            assert any("one" in line and " 25 %" in line for line in lines)
            assert any("one" in line and " 75 %" in line for line in lines)
            assert any("a name …" in line for line in lines)
            assert max(map(len, lines)) <= 40
    # All is wiped, and the cursor is where it was.
    left = shown(ours)
    assert left.count("\x1b[1A") >= 1
    assert left.rstrip().endswith("\x1b[2K")


def test_rate_and_time_left(terminal, clock):
    ours, stream = terminal
    with Bars(stream).bar("copy", "B") as show:
        show(0, 8 << 20)
        clock[0] += 2
        show(2 << 20, 8 << 20)
    text = shown(ours)
    assert "copy" in text
    assert "25 %, 1.0 MiB/s" in text


def test_what_is_done_at_once_has_no_bar(terminal, clock):
    ours, stream = terminal
    with Bars(stream).bar("copy", "B") as show:
        clock[0] += 0.1
        show(8, 8)
    assert shown(ours) == ""


def test_what_is_said_meanwhile_has_a_line_of_its_own(terminal, clock):
    ours, stream = terminal
    ui = UI(stream, stream)
    with ui.progress("copy", "B") as show:
        clock[0] += 1
        show(1, 4)
        ui.say("something else")
        clock[0] += 1
        show(2, 4)
    before, _, after = shown(ours).partition("something else\r\n")
    assert " 25 %" in before
    assert before.endswith("\x1b[2K")
    assert "copy" in after
    assert "\x1b[?25l" not in before + after  # the cursor stays


def test_nothing_is_drawn_where_nobody_looks(clock):
    stream = io.StringIO()
    with UI(stream, stream).progress("copy", "B") as show:
        clock[0] += 1
        show(1, 4)
    assert stream.getvalue() == ""
