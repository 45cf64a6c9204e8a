"""session: replies, refusals and what breaks a connection."""

import asyncio
import json
import os
import socket
import subprocess

import pytest

from qemu_cli.errors import (
    ConnectionLostError,
    QemuCliError,
    RefusedError,
    StateError,
    TimedOutError,
)
from qemu_cli.qmp.address import Monitors
from qemu_cli.testing.fake_qmp import GREETING
from tests.unit.qmp.talking import PATIENCE_S, RESUME, STOP, execute, session


def test_a_reply(fake, monitors):
    assert execute(monitors) == {"status": "running"}
    execute(monitors, "query-status", {"a": [1, "ü"]})
    assert fake.received[-1]["arguments"] == {"a": [1, "ü"]}


def test_each_exchange_leaves_the_monitor_to_others(fake, monitors):
    async def main():
        async with session(monitors) as one, session(monitors) as other:
            for _ in range(3):
                await one.execute("query-status", timeout_s=PATIENCE_S)
                await other.execute("query-status", timeout_s=PATIENCE_S)

    asyncio.run(main())
    negotiated = [m for m in fake.received if "enable" in str(m)]
    assert len(negotiated) == 6


def test_an_exchange_keeps_the_connection(fake, monitors):
    async def main():
        async with session(monitors) as one, one.exchange():
            await one.execute("query-status")
            async with one.exchange():
                await one.execute("query-status")
            # In parallel, on the one connection.
            both = (one.execute("query-status") for _ in range(2))
            await asyncio.gather(*both)

    asyncio.run(main())
    assert len(fake.received) == 1 + 4


def test_a_refusal_has_class_and_text(fake, monitors):
    fake.on("cont", error=("GenericError", "Resetting is required"))
    with pytest.raises(RefusedError, match="cont: Resetting") as caught:
        execute(monitors, "cont")
    assert caught.value.command == "cont"
    assert caught.value.error_class == "GenericError"
    with pytest.raises(RefusedError) as caught:
        execute(monitors, "nope")
    assert caught.value.error_class == "CommandNotFound"


@pytest.mark.parametrize(
    "answer",
    [
        {"close": True},
        {"raw": b'{"return": {"stat', "close": True},
        {"raw": b"this is no JSON\r\n"},
        {"raw": b'{"neither": 1}\r\n', "close": True},
        {"raw": b'{"error": {"class": "GenericError"}}\r\n'},
    ],
)
def test_a_connection_that_breaks(fake, monitors, answer):
    fake.on("stop", **answer)
    with pytest.raises(ConnectionLostError, match="stop: "):
        execute(monitors, "stop", timeout_s=PATIENCE_S)


def test_no_reply_in_time(fake, monitors):
    fake.on("stop", silent=True)

    async def main():
        async with session(monitors) as one, one.exchange():
            with pytest.raises(TimedOutError, match="stop"):
                await one.execute("stop", timeout_s=0.05)
            # The connection still serves.
            return await one.execute("query-status", timeout_s=PATIENCE_S)

    assert asyncio.run(main()) == {"status": "running"}


def test_a_reply_that_comes_too_late_is_nobodys(fake, monitors):
    fake.on("stop", "late", delay_s=0.2)

    async def main():
        async with session(monitors) as one, one.exchange():
            with pytest.raises(TimedOutError):
                await one.execute("stop", timeout_s=0.05)
            return await one.execute("query-status", timeout_s=PATIENCE_S)

    assert asyncio.run(main()) == {"status": "running"}


def test_a_huge_reply(fake, monitors):
    fake.on("query-block", ["x" * 1000] * 20_000)
    assert len(execute(monitors, "query-block")) == 20_000


def test_nothing_is_logged_twice(fake, monitors, caplog, capfd):
    fake.on("stop", close=True)
    with pytest.raises(ConnectionLostError):
        execute(monitors, "stop")
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_nobody_listens(short_dir):
    for name in ("none", "stale"):
        path = str(short_dir / name)
        if name == "stale":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path)
        with pytest.raises(StateError, match="no QEMU listens"):
            execute(Monitors(control=path))


def test_no_monitor_at_all():
    with pytest.raises(StateError, match="no monitor"):
        execute(Monitors())


def test_a_stranger_listens(fake):
    with subprocess.Popen(["sleep", "1000"]) as other:
        try:
            with pytest.raises(StateError, match=f"{os.getpid()} listens"):
                execute(Monitors(control=fake.path, pid=other.pid))
        finally:
            other.kill()
    assert fake.received == []


def test_qemu_has_ended(fake):
    with subprocess.Popen(["true"]) as child:
        child.wait()
    with pytest.raises(StateError, match="has ended"):
        execute(Monitors(control=fake.path, pid=child.pid))


def test_what_does_not_speak_qmp(fake_qmp):
    fake = fake_qmp(greeting=b"220 mail.example ESMTP\r\n")
    with pytest.raises(QemuCliError, match="does not speak QMP"):
        execute(Monitors(control=fake.path))


def test_events_before_the_greeting_are_for_another(fake_qmp):
    """QEMU may have them on their way to the client that just left."""
    early = b"".join(json.dumps(e).encode() + b"\r\n" for e in (STOP, RESUME))
    fake = fake_qmp(greeting=early + GREETING)
    fake.on("qmp_capabilities", {}, events=[STOP])
    fake.on("query-status", {"status": "running"})
    monitors = Monitors(control=fake.path)
    assert execute(monitors) == {"status": "running"}


def test_an_end_while_greeting(fake_qmp):
    fake = fake_qmp()
    fake.on("qmp_capabilities", close=True)
    with pytest.raises(ConnectionLostError, match="while greeting"):
        execute(Monitors(control=fake.path))


def test_an_end_just_after_greeting(fake_qmp):
    """The library takes it for a connection, and has lost it already."""
    fake = fake_qmp()
    fake.on("qmp_capabilities", raw=b'{"return": {}}\r\n', close=True)
    for _ in range(20):  # it may come to the first command
        with pytest.raises(ConnectionLostError, match="QEMU closed"):
            execute(Monitors(control=fake.path))


def test_a_main_loop_that_is_stuck(fake_qmp):
    fake = fake_qmp()
    fake.on("qmp_capabilities", silent=True)

    async def main():
        monitors = Monitors(control=fake.path)
        async with session(monitors, connect_timeout_s=0.1) as one:
            await one.execute("query-status")

    with pytest.raises(TimedOutError, match="main loop"):
        asyncio.run(main())


def test_a_monitor_that_serves_us_and_is_silent(fake_qmp):
    fake = fake_qmp(greeting=None)

    async def main():
        monitors = Monitors(control=fake.path)
        async with session(monitors, connect_timeout_s=0.1) as one:
            await one.execute("query-status")

    with pytest.raises(TimedOutError, match="does not greet"):
        asyncio.run(main())


def test_cancelling_frees_everything(four):
    _, monitors = four
    fakes, _ = four
    fakes[0].on("stop", silent=True)

    async def main():
        async with session(monitors) as one:
            task = asyncio.create_task(one.execute("stop"))
            while "stop" not in str(fakes[0].received):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with session(monitors, lock_timeout_s=PATIENCE_S) as other:
            return await other.execute("query-status")

    assert asyncio.run(main()) == {"status": "running"}


def test_the_human_monitor(fake, monitors):
    fake.on("human-monitor-command", "VM status: running\r\n")

    async def ask(command_line):
        async with session(monitors) as one:
            return await one.human(command_line)

    assert asyncio.run(ask("info status")) == "VM status: running\n"
    fake.on("human-monitor-command", "unknown command: 'x'\r\n")
    with pytest.raises(RefusedError, match="unknown command"):
        asyncio.run(ask("x"))


def test_a_recorded_qemu(fake, monitors, request):
    recording = request.config.rootpath / "tests/data/qmp/none.jsonl"
    fake.replay(recording)

    async def main():
        async with session(monitors) as one, one.listen("STOP") as stop:
            await one.execute("stop")
            assert (await stop.get(PATIENCE_S)).time_s > 1.7e9
            return await one.execute("query-version")

    assert asyncio.run(main())["qemu"]["major"] >= 7
