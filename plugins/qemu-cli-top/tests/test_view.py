"""The screen, driven by Textual's pilot, in front of real QEMUs."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable

import pytest
from qemu_cli_top.screens import Log, Question, read_log
from qemu_cli_top.view import TopApp
from textual.pilot import Pilot

from qemu_cli.app import QemuApp
from qemu_cli.instance.stats.sampler import Sampler
from qemu_cli.instance.vm import VM

TIMEOUT_S = 60.0
SIZE = (80, 24)


@pytest.fixture
def top(qemu_home, monkeypatch):
    """``top(script)`` runs ``await script(app, pilot)`` on a screen."""
    for name in ("QEMU_CLI_HOME", "QEMU_CLI_CONFIG_LIST_FOREIGN"):
        monkeypatch.setenv(name, qemu_home.environment[name])

    def run(script: Callable[[TopApp, Pilot], Awaitable[None]]) -> None:
        program = QemuApp()
        program.options = program.parser.parse_args(["top"])
        sampler = Sampler(program.host, foreign=False)
        app = TopApp(program, sampler, sampler.take(), 0.5)

        async def drive() -> None:
            async with app.run_test(size=SIZE) as pilot:
                await script(app, pilot)

        asyncio.run(drive())

    return run


def names(app: TopApp) -> list[str]:
    table = app.table
    rows = (table.get_row_at(place) for place in range(table.row_count))
    return [row[0].plain for row in rows]


def cell(app: TopApp, name: str, column: int) -> str:
    return app.table.get_row_at(names(app).index(name))[column].plain.strip()


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def test_rates_come_and_vms_come_and_go(top, start, qemu_home):
    start("web")

    async def script(app: TopApp, pilot: Pilot) -> None:
        assert names(app) == ["web"]
        assert cell(app, "web", 3) == ""  # one look makes no rate
        await until(lambda: cell(app, "web", 3).endswith("%"))
        await asyncio.to_thread(start, "db")
        await until(lambda: sorted(names(app)) == ["db", "web"])
        await asyncio.to_thread(qemu_home, "kill", "web")
        await until(lambda: names(app) == ["db"])
        await asyncio.to_thread(qemu_home, "kill", "db")
        await until(lambda: names(app) == [])
        await pilot.press("p", "x", "l", "c")  # nothing to do it to
        assert not isinstance(app.screen, Log | Question)

    top(script)


def test_sorting_keeps_the_cursor_on_its_vm(top, start):
    start("a")
    start("b")

    async def script(app: TopApp, pilot: Pilot) -> None:
        await pilot.press(*"ssssss")  # by name
        assert names(app) == ["a", "b"]
        await pilot.press("up", "up")
        assert app.selected is not None
        assert app.selected.name == "a"
        await pilot.press("S")
        assert names(app) == ["b", "a"]
        assert app.selected.name == "a"

    top(script)


def test_pause_and_resume(top, start):
    start("web")

    async def script(app: TopApp, pilot: Pilot) -> None:
        await pilot.press("p")
        await until(lambda: cell(app, "web", 1) == "paused")
        await pilot.press("p")  # refused: said, and the program goes on
        await until(
            lambda: any(
                "paused already" in note.message for note in app._notifications
            )
        )
        await pilot.press("r")
        await until(lambda: cell(app, "web", 1) == "running")

    top(script)


def test_one_under_sigstop_holds_up_nobody(top, start, stopped):
    start("web")
    pid = start("stuck")

    async def script(app: TopApp, pilot: Pilot) -> None:
        with stopped(pid):
            await until(lambda: cell(app, "stuck", 1) == "unresponsive")
            await until(lambda: cell(app, "web", 5) == "0B/s")
        await until(lambda: cell(app, "stuck", 1) == "running")

    top(script)


def test_shutdown_asks_first(top, start):
    pid = start("web")

    async def script(app: TopApp, pilot: Pilot) -> None:
        await pilot.press("x")
        assert isinstance(app.screen, Question)
        await pilot.press("n")
        assert not isinstance(app.screen, Question)
        await pilot.press("x", "y")
        await until(
            lambda: any(
                "asked to shut down" in note.message
                for note in app._notifications
            )
        )
        os.kill(pid, signal.SIGTERM)  # there is no guest to do it
        await until(lambda: names(app) == [])

    top(script)


def test_the_log(top, start, qemu_home):
    start("web")
    log = qemu_home.paths.instance("web").serial_log
    log.write_text("one\x1b[31mtwo\x1b[0m\x1b]0;title\x07\x9b2J\r\nthree\n")

    async def script(app: TopApp, pilot: Pilot) -> None:
        await pilot.press("l")
        assert isinstance(app.screen, Log)
        vm = app.selected
        assert isinstance(vm, VM)
        first, second = read_log(vm).splitlines()
        assert first.startswith("onetwo")
        assert not {"\x1b", "\x9b", "\r"} & set(first)
        assert second == "three"
        await pilot.press("escape")
        assert not isinstance(app.screen, Log)

    top(script)
