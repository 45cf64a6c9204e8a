"""qemu monitor: at a real terminal, to real QEMUs."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from qemu_cli.proc import ProcFS
from qemu_cli.testing.home import QemuHome
from tests.functional.by_hand import Foreign, qmp
from tests.functional.until import until

TIMEOUT_S = 60
SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")
TAB, UP, CTRL_C, CTRL_D = "\t", "\x1b[A", "\x03", "\x04"


class Prompt:
    """A terminal of 24 lines with the prompt in it."""

    def __init__(self, home: QemuHome, name: str, prompt: str) -> None:
        self.prompt = prompt
        self.child = pexpect.spawn(
            str(home.executable),
            ["monitor", name],
            # This terminal does not say where its cursor is.
            env={**home.environment, "PROMPT_TOOLKIT_NO_CPR": "1"},
            dimensions=(24, 80),
            encoding="utf-8",
            timeout=TIMEOUT_S,
        )

    def ready(self) -> None:
        self.child.expect_exact("Ctrl-D leaves")
        self.child.expect_exact(self.prompt)

    def type(self, text: str, *expected: str) -> None:
        """Type something, and see this come, one after the other."""
        self.child.send(text)
        for each in expected:
            self.child.expect_exact(each)

    def complete(self, text: str, rest: str) -> None:
        """Type the begin of a word and Tab, and see the rest come."""
        self.child.send(text + TAB)
        self.child.expect_exact(rest)

    def left(self) -> int:
        self.child.expect(pexpect.EOF)
        self.child.close()
        return int(self.child.exitstatus)


@contextmanager
def prompt(
    home: QemuHome, name: str, shown: str | None = None
) -> Iterator[Prompt]:
    it = Prompt(home, name, shown or f"{name}>")
    try:
        yield it
    finally:
        it.child.close(force=True)


@pytest.fixture
def web(qemu_home: QemuHome) -> QemuHome:
    made = qemu_home("create", "web", "--disk", "16M", *SMALL, "--start")
    assert made.rc == 0, made.err
    return qemu_home


def typed(home: QemuHome) -> list[str]:
    """What was typed so far, as the history has it, the last one last."""
    text = home.paths.monitor_history.read_text()
    return re.findall(r"^\+(.*)$", text, re.M)


def test_commands_completion_and_history(web: QemuHome) -> None:
    with prompt(web, "web") as it:
        it.ready()
        it.complete("query-curr", "ent-machine")
        it.type("\r", '"wakeup-suspend-support"', "}")
        it.complete("block_resize no", "de-name=")
        it.complete("disk0 si", "ze=")
        it.type("32M\r", "{}")
        it.complete("set-action pan", "ic=")
        it.complete("exi", "t-failure")
        it.type("\r", "{}")
        it.type("blockdev-add driver=qcow2 ")
        it.complete("file.dri", "ver=")
        it.complete("host_dev", "ice")
        it.type(CTRL_C)
        it.type(UP + "\r", "{}")
        it.type('{"execute": "query-name"}\r', '"name": "web"')
        it.type("hmp info version\r", "7.2" if _is_7(web) else "10.")
        it.type("set_password protocol=vnc password=hidden\r", "error: ")
        it.type("exit\r")
        assert it.left() == 0
    assert typed(web) == [
        "query-current-machine",
        "block_resize node-name=disk0 size=32M",
        "set-action panic=exit-failure",
        '{"execute": "query-name"}',
        "hmp info version",
        "exit",
    ]
    assert web.paths.monitor_history.stat().st_mode & 0o777 == 0o600
    [disk] = web("disk", "list", "web", "-f", "json").json
    assert disk["virtual_size_bytes"] == 32 << 20
    assert web("list", "-f", "json").json[0]["state"] == "running"


def _is_7(home: QemuHome) -> bool:
    version = home("qmp", "web", "query-version").json
    return bool(version["qemu"]["major"] < 10)


def test_errors_name_the_nearest_and_help_explains(web: QemuHome) -> None:
    with prompt(web, "web") as it:
        it.ready()
        it.type("query-stauts\r", "no command 'query-stauts'", "query-status")
        it.type("block_resize nod=x size=1\r", "'nod'", "did you mean")
        it.type("set-action panic=slep\r", "can't be 'slep'", "hint: ")
        it.type("block_resize size=1M node-name=no\r", "error: block_resize")
        it.type("stop 'x\r", "error: ")
        it.type("{1\r", "is not JSON")
        it.type("hmp nosuch\r", "unknown command")
        it.type("hmp\r", "no command")
        it.type("?block_resize\r", "node-name", "size", "(needed)", "nothing")
        it.complete("help query-curr", "ent-machine")
        it.type(CTRL_C)
        it.type("help nosuch\r", "no command 'nosuch'")
        it.type("?\r", "Ctrl-R", it.prompt)
        it.type(CTRL_D)
        assert it.left() == 0


def test_events_come_above_the_prompt_and_nobody_is_held_up(
    web: QemuHome,
) -> None:
    with prompt(web, "web") as one, prompt(web, "web") as other:
        one.ready()
        other.ready()
        one.type("query-na")
        assert web("-c", "lock.timeout=1s", "pause", "web").rc == 0
        one.type("", "STOP  {}", "query-na")
        other.type("", "STOP  {}")
        pid = web("list", "-f", "json").json[0]["pid"]
        paths = web.paths.instance("web")
        for socket in (
            paths.control_socket,
            paths.probe_socket,
            *paths.follower_sockets,
        ):
            assert ProcFS().monitor_use(pid, str(socket)) == (False, 0)
        other.type("cont\r", "RESUME  {}")
        one.type("", "RESUME  {}", "query-na")
        one.type("me\r", '"name": "web"')


def test_ctrl_c_waits_no_longer_for_a_reply(
    web: QemuHome, short_dir: Path
) -> None:
    """QEMU's main loop hangs in a FIFO that nobody reads."""
    fifo = short_dir / "fifo"
    os.mkfifo(fifo)
    with prompt(web, "web") as it:
        it.ready()
        it.type(f"pmemsave val=0 size=1M filename={fifo}\r")
        locks = web.paths.instance("web").monitor_lock
        until(lambda: locks.read_text().strip("\0"))
        it.type(CTRL_C, "not waited for", it.prompt)
        with fifo.open("rb") as reader:
            assert len(reader.read()) == 1 << 20
        it.type("query-status\r", '"running"')
        it.type(CTRL_D)
        assert it.left() == 0


@pytest.mark.parametrize("line", ["quit", "hmp q"])
def test_quit_is_asked_about(web: QemuHome, line: str) -> None:
    with prompt(web, "web") as it:
        it.ready()
        it.type(f"{line}\r", "End it? [y/N]")
        it.type("n\r", it.prompt)
        assert web("list", "-f", "json").json[0]["state"] == "running"
        it.type(f"{line}\r", "End it? [y/N]")
        it.type("y\r", "web: it has ended")
        assert it.left() == 0
    assert web("list", "-f", "json").json[0]["state"] == "stopped"


@pytest.mark.parametrize(
    ("how", "said", "code"),
    [
        ("kill", "'web' has crashed", 1),
        ("quit", "web: it has ended (stopped", 0),
    ],
)
def test_qemu_ends_meanwhile(
    web: QemuHome, how: str, said: str, code: int
) -> None:
    with prompt(web, "web") as it:
        it.ready()
        it.type("query-")
        if how == "kill":
            pid = web("list", "-f", "json").json[0]["pid"]
            os.kill(pid, signal.SIGKILL)
        else:
            assert web("quit", "web").rc == 0
        it.type("", said.removesuffix(" (stopped"))
        assert it.left() == code


def test_the_one_monitor_of_a_foreign_vm_is_held(foreign: Foreign) -> None:
    path = foreign.directory / "q.sock"
    pid = foreign.start(*qmp(path), "-name", "some\x1b[2Jone", ready=path)
    shown = r"some\x1b[2Jone>"
    with prompt(foreign.home, f"pid:{pid}", shown) as it:
        it.child.expect_exact("its only monitor is held until you leave")
        it.child.expect_exact(shown)
        it.type("stop\r", "STOP  {}")
        row = foreign.row(pid)
        assert row["monitor"] == "held"
        assert row["monitor_holder"]["pid"] == it.child.pid
        refused = foreign.home("-c", "lock.timeout=1s", "pause", f"pid:{pid}")
        assert refused.rc == 6
        assert "qemu monitor" in refused.err
        it.type("cont\r", "RESUME  {}")
        it.type(CTRL_D)
        assert it.left() == 0
    until(lambda: foreign.row(pid)["monitor"] == "free")
    with prompt(foreign.home, f"qmp:{path}", shown) as it:
        it.child.expect_exact(shown)
        os.kill(pid, signal.SIGKILL)
        it.type("", "has ended or was killed")
        assert it.left() == 1


def test_not_at_a_terminal_and_not_running(
    web: QemuHome, foreign: Foreign
) -> None:
    refused = web("monitor", "web", stdin="stop\n")
    assert refused.rc == 2
    assert "'qemu qmp web' takes commands from stdin" in refused.err
    assert web("quit", "web").rc == 0
    for name, code, why in (
        ("web", 4, "does not run"),
        ("nosuch", 3, "there is no VM 'nosuch'"),
        (f"pid:{foreign.start()}", 4, "has no monitor"),
    ):
        with prompt(web, name) as it:
            it.type("", why)
            assert it.left() == code


def test_started_by_its_script_events_come_from_a_follower(
    web: QemuHome,
) -> None:
    assert web("quit", "web").rc == 0
    script = subprocess.Popen(["sh", web.paths.instance("web").command])
    try:
        until(lambda: "running" in web("list").out)
        with prompt(web, "web") as it:
            it.ready()
            assert web("pause", "web").rc == 0
            it.type("", "STOP  {}")
            it.type("cont\r", "RESUME  {}")
    finally:
        script.kill()
        script.wait(TIMEOUT_S)
