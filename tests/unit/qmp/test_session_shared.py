"""session: others at the monitor, events and the lock."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest

from qemu_cli.errors import (
    BusyError,
    ConnectionLostError,
    StateError,
    TimedOutError,
)
from qemu_cli.qmp import connect
from qemu_cli.qmp.address import Monitors
from qemu_cli.qmp.lock import holder, locked
from tests.unit.qmp.talking import PATIENCE_S, RESUME, STOP, execute, session


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
