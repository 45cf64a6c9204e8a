"""session: the lock, the connection, replies and events."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from qemu_cli.errors import (
    BusyError,
    ConnectionLostError,
    QemuCliError,
    RefusedError,
    StateError,
    TimedOutError,
)
from qemu_cli.qmp import connect
from qemu_cli.qmp.address import Monitors
from qemu_cli.qmp.lock import holder, locked
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.testing.fake_qmp import GREETING

STOP = {
    "event": "STOP",
    "timestamp": {"seconds": 12, "microseconds": 500000},
}
RESUME = {**STOP, "event": "RESUME", "data": {"why": "test"}}

#: Where an answer must come, on a machine that is busy.
PATIENCE_S = 30.0


def session(monitors, *, role="control", **options):
    options = {"lock_timeout_s": 0.1, **options}
    return Sessions(**options).open(monitors, role=role)


def execute(monitors, command="query-status", arguments=None, **options):
    """One command in a session of its own."""

    async def main():
        async with session(monitors) as one:
            return await one.execute(command, arguments, **options)

    return asyncio.run(main())


@pytest.fixture
def fake(fake_qmp):
    fake = fake_qmp()
    fake.on("query-status", {"status": "running"})
    return fake


@pytest.fixture
def monitors(fake):
    return Monitors(control=fake.path, pid=os.getpid())


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


def test_another_client_comes_before_us(fake_qmp, monkeypatch):
    """It is served when we are connected; it was not when we looked."""
    fake = fake_qmp()

    async def no_look(*args):
        return None

    monkeypatch.setattr(connect, "_until_unserved", no_look)

    async def main():
        monitors = Monitors(control=fake.path)
        async with session(monitors, connect_timeout_s=0.1) as one:
            await one.execute("query-status")

    with socket.socket(socket.AF_UNIX) as other:
        other.connect(fake.path)
        other.recv(1)
        with pytest.raises(BusyError, match=f"pid {os.getpid()}"):
            asyncio.run(main())


def test_a_held_monitor_is_named_and_not_queued_for(fake, monitors):
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(fake.path)
        other.recv(1)
        with pytest.raises(BusyError, match=f"pid {os.getpid()}") as caught:
            execute(monitors)
        assert caught.value.exit_code == 6


def test_a_held_monitor_is_waited_for(fake, monitors):
    other = socket.socket(socket.AF_UNIX)
    other.connect(fake.path)
    other.recv(1)

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, other.close)
        async with session(monitors, lock_timeout_s=PATIENCE_S) as one:
            return await one.execute("query-status")

    assert asyncio.run(main()) == {"status": "running"}


def test_events(fake, monitors):
    fake.on("stop", {}, events=[RESUME, STOP])

    async def main():
        async with session(monitors) as one, one.listen("STOP") as stops:
            async with one.listen() as everything:
                await one.execute("stop")
                first = await everything.get(PATIENCE_S)
                assert first == ("RESUME", {"why": "test"}, 12.5)
                assert (await everything.get(PATIENCE_S)).name == "STOP"
                with pytest.raises(TimedOutError):
                    await everything.get(0.01)
            fake.send(STOP)
            assert (await stops.get(PATIENCE_S)).data == {}
            assert (await stops.get(PATIENCE_S)).name == "STOP"

    asyncio.run(main())


def test_an_end_is_told_after_the_last_event(fake, monitors):
    fake.on("quit", events=[STOP, RESUME], close=True)

    async def main():
        async with session(monitors) as one, one.listen() as listener:
            with pytest.raises(ConnectionLostError):
                await one.execute("quit", timeout_s=PATIENCE_S)
            names = [(await listener.get(PATIENCE_S)).name for _ in "12"]
            assert names == ["STOP", "RESUME"]
            with pytest.raises(ConnectionLostError):
                await listener.get(PATIENCE_S)

    asyncio.run(main())


def test_an_end_is_told_to_who_waits(fake, monitors):
    async def main():
        async with session(monitors) as one:
            wait = asyncio.create_task(one.wait_event(timeout_s=PATIENCE_S))
            while not fake.received:  # noqa: ASYNC110 - a thread fills it
                await asyncio.sleep(0.01)
            fake.hang_up()
            with pytest.raises(ConnectionLostError):
                await wait

    asyncio.run(main())


@pytest.fixture
def four(fake_qmp, short_dir):
    """A VM of ours: control and two followers, each a fake."""
    control, one, two = fakes = [fake_qmp() for _ in range(3)]
    for fake in fakes:
        fake.on("query-status", {"status": "running"})
    return fakes, Monitors(
        control=control.path,
        followers=(one.path, two.path),
        lock=str(short_dir / "lock"),
        pid=os.getpid(),
    )


def test_who_waits_does_not_hold_the_control_monitor(four):
    (control, one, _), monitors = four

    async def main():
        async with session(monitors) as first, first.listen("STOP") as stop:
            await first.execute("query-status")
            async with session(monitors) as second:
                await second.execute("query-status")
            one.send(STOP)
            assert (await stop.get(PATIENCE_S)).name == "STOP"

    asyncio.run(main())
    assert [len(one.received), len(control.received)] == [1, 4]


def test_followers(four):
    (control, *_), monitors = four

    async def main():
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(2):
                follower = session(monitors, role="follower")
                follower = await stack.enter_async_context(follower)
                await follower.execute("query-status")
            with pytest.raises(BusyError):
                async with session(monitors, role="follower"):
                    pass
            # A command can still listen: on the control monitor.
            async with session(monitors) as one, one.listen("STOP") as stop:
                control.send(STOP)
                assert (await stop.get(PATIENCE_S)).name == "STOP"

    asyncio.run(main())


def test_the_lock_names_its_holder(four):
    _, monitors = four

    async def main():
        async with session(monitors, who="qemu pause web") as first:
            async with first.exchange():
                assert holder(monitors.lock).pid == os.getpid()
                async with session(monitors) as second:
                    with pytest.raises(BusyError) as caught:
                        await second.execute("query-status")
            async with session(monitors) as second:
                await second.execute("query-status")
        return str(caught.value)

    message = asyncio.run(main())
    assert "'qemu pause web'" in message
    assert f"pid {os.getpid()}" in message
    assert holder(monitors.lock) is None


HOLDER = """
import asyncio, sys
from qemu_cli.qmp.lock import locked
async def main():
    loop = asyncio.get_running_loop()
    async with locked(sys.argv[1], "the other", loop.time()):
        print("locked", flush=True)
        await asyncio.sleep(1000)
asyncio.run(main())
"""


def test_the_lock_ends_with_its_holder(short_dir):
    path = str(short_dir / "lock")

    async def take(wait_s):
        loop = asyncio.get_running_loop()
        async with locked(path, "test", loop.time() + wait_s):
            return holder(path)

    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE
    ) as other:
        try:
            other.stdout.readline()
            with pytest.raises(BusyError, match=f"the other.*{other.pid}"):
                asyncio.run(take(0.05))
            other.send_signal(signal.SIGKILL)
            assert asyncio.run(take(PATIENCE_S)).command == "test"
        finally:
            other.kill()


def test_no_directory_for_the_lock(short_dir):
    monitors = Monitors(control="/x", lock=str(short_dir / "gone/lock"))
    with pytest.raises(StateError, match="sockets are gone"):
        execute(monitors)


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
