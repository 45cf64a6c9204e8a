"""What a terminal shows of long output."""

import io
import shutil
from pathlib import Path

import pexpect
import pytest

from qemu_cli.command.pager import LazyPager
from qemu_cli.testing.home import QemuHome

TIMEOUT_S = 60
LONG = ("config", "list")  # some forty lines


def seen(
    home: QemuHome, *words: str, rows: int = 10, code: int = 0, **more: str
) -> str:
    """What a person sees, to the end."""
    child = spawn(home, *words, rows=rows, **more)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == code, child.before
    return str(child.before)


def spawn(
    home: QemuHome, *words: str, rows: int = 10, **more: str
) -> pexpect.spawn:
    size = {"LINES": str(rows), "COLUMNS": "100"}
    return pexpect.spawn(
        str(home.executable),
        list(words),
        env={**home.environment, "TERM": "xterm", **size, **more},
        timeout=TIMEOUT_S,
        encoding="utf-8",
        dimensions=(rows, 100),
    )


@pytest.fixture
def pager(tmp_path: Path) -> str:
    program = tmp_path / "pager"
    program.write_text('#!/bin/sh\nsed "s/^/${1:-paged}: /"\n')
    program.chmod(0o755)
    return str(program)


def test_only_what_does_not_fit_is_paged(qemu_home, pager):
    assert seen(qemu_home, *LONG, PAGER=pager).startswith("paged: KEY")
    assert "paged" not in seen(qemu_home, *LONG, PAGER=pager, rows=200)
    assert "paged" not in seen(qemu_home, "list", PAGER=pager)
    assert "paged" not in qemu_home(*LONG, environment={"PAGER": pager}).out
    assert "paged: usage" in seen(qemu_home, "start", "--help", PAGER=pager)
    assert "paged: usage" in seen(qemu_home, "help", PAGER=pager)
    assert "paged: Commands" in seen(qemu_home, "help", "config", PAGER=pager)


def test_who_says_which(qemu_home, pager):
    qemu_home("config", "set", "core.pager", f"{pager} core")
    assert seen(qemu_home, *LONG, PAGER="false").startswith("core: KEY")
    qemu_home("config", "set", "pager.config.list", f"{pager} mine")
    assert seen(qemu_home, *LONG).startswith("mine: KEY")
    assert seen(qemu_home, "help").startswith("core: usage")
    assert seen(qemu_home, "--no-pager", *LONG).startswith("KEY")
    off = ("-c", "pager.config.list=no")
    assert seen(qemu_home, *off, *LONG).startswith("KEY")
    on = ("-c", "pager.config.get=yes", "config", "get", "memory")
    assert seen(qemu_home, *on, rows=1).startswith("core: 1G")
    assert seen(qemu_home, *on[2:], rows=1).startswith("1G")
    assert seen(qemu_home, "-c", "core.pager=cat", "help").startswith("usage")


def test_a_pager_that_can_not_be_run(qemu_home):
    missing = ("-c", "core.pager=/nowhere/less")
    said = seen(qemu_home, *missing, *LONG, code=2)
    assert "can't be run: No such file" in said
    assert "qemu config set core.pager cat" in said


def test_who_leaves_early_has_seen_enough(qemu_home, tmp_path):
    quits = tmp_path / "quits"
    quits.write_text("#!/bin/sh\necho enough\n")
    quits.chmod(0o755)
    assert seen(qemu_home, *LONG, PAGER=str(quits)) == "enough\r\n"


def test_less_itself(qemu_home):
    assert shutil.which("less"), "less is in TEST_PACKAGES"
    child = spawn(qemu_home, *LONG)
    child.expect("KEY")
    child.expect(":")
    child.sendintr()  # less goes on, and so do we
    child.expect(":")  # a key pressed before it has seen that would be lost
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


class Terminal(io.StringIO):
    encoding = "utf-8"


def test_what_is_flushed_is_shown_at_once():
    terminal = Terminal()
    stream = LazyPager(terminal, "false")
    stream.write("one\n")
    assert terminal.getvalue() == ""
    stream.flush()
    assert terminal.getvalue() == "one\n"
    stream.write("two\n" * 1000)
    stream.finish()
    assert terminal.getvalue().endswith("two\n")
    assert not stream.is_running
