"""What is said to people."""

import importlib
import io
import logging
import os
import pty

import pytest

from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.ui import UI, Warnings, printable


def test_quiet_keeps_warnings_and_errors():
    stderr = io.StringIO()
    ui = UI(io.StringIO(), stderr, level=0)
    ui.say("said")
    ui.detail("detail")
    ui.warn("warning")
    ui.error("error")
    ui.hint("do")
    assert stderr.getvalue() == (
        "qemu: warning: warning\nqemu: error: error\nhint: do\n"
    )


def test_what_lower_layers_warn_of_is_told():
    stderr = io.StringIO()
    log = logging.getLogger("test_ui")
    log.addHandler(Warnings(UI(io.StringIO(), stderr, level=0)))
    log.info("nothing")
    log.warning("%s can't be cancelled", "it")
    assert stderr.getvalue() == "qemu: warning: it can't be cancelled\n"


def test_details_are_for_verbose():
    for level, text in ((1, ""), (2, "detail\n")):
        stderr = io.StringIO()
        UI(io.StringIO(), stderr, level=level).detail("detail")
        assert stderr.getvalue() == text


def test_a_guest_can_not_steer_the_terminal():
    assert printable("a\x1b[2J\u202eé") == "a\\x1b[2J\\u202eé"
    stderr = io.StringIO()
    UI(io.StringIO(), stderr).say("one\nevil\x1b[2J")
    assert stderr.getvalue() == "one\nevil\\x1b[2J\n"


def test_without_a_terminal_only_yes_confirms():
    ui = UI(io.StringIO("y\n"), io.StringIO())
    ui.confirm("delete web", yes=True)
    with pytest.raises(UsageError, match=r"delete web.*--yes"):
        ui.confirm("delete web", yes=False)


@pytest.fixture
def terminal():
    primary, secondary = pty.openpty()
    with (
        os.fdopen(os.dup(secondary), "r") as stdin,
        os.fdopen(secondary, "w") as stderr,
    ):
        yield primary, UI(stdin, stderr)
    os.close(primary)


@pytest.mark.parametrize("answer", [b"y\n", b"YES\n"])
def test_yes_at_a_terminal(terminal, answer):
    primary, ui = terminal
    os.write(primary, answer)
    ui.confirm("delete web", yes=False)
    seen = b""
    while b"delete web? [y/N]" not in seen:  # it comes in pieces
        seen += os.read(primary, 4096)


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"yep\n", b"\x04"])
def test_anything_else_is_no(terminal, answer):
    primary, ui = terminal
    os.write(primary, answer)
    with pytest.raises(QemuCliError, match="not confirmed"):
        ui.confirm("delete web", yes=False)


def test_ctrl_c_at_the_question_ends_its_line(terminal, monkeypatch):
    primary, ui = terminal
    monkeypatch.setattr(ui, "_stdin", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        ui.confirm("delete web", yes=False)
    seen = b""
    while not seen.endswith(b"\n"):  # it comes in pieces
        seen += os.read(primary, 4096)
    assert seen == b"delete web? [y/N] \r\n"


class Interrupted(io.StringIO):
    """A terminal at which somebody presses Ctrl-C."""

    def isatty(self):
        return True

    def readline(self, *_):
        raise KeyboardInterrupt


def test_progress_is_shown_on_a_terminal_and_wiped(terminal, monkeypatch):
    """What it looks like is tested in test_progress."""
    primary, ui = terminal
    importlib.import_module("rich.progress")  # it keeps the clock it finds
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with ui.progress("saving") as show:
        now[0] += 1
        show(1, 4)
    ui.say("saved")
    text = ""
    while not text.endswith("saved\r\n"):  # it comes in pieces
        text += os.read(primary, 4096).decode()
    assert "saving" in text
    assert " 25 %" in text
    assert "\x1b[2K" in text[text.rindex(" 25 %") :]


def test_progress_is_not_shown_elsewhere():
    stderr = io.StringIO()
    with UI(io.StringIO(), stderr).progress("saving") as show:
        show(1, 4)
    assert stderr.getvalue() == ""
