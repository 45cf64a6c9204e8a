"""shared: opened once, closed once, whatever the order of the users."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from qemu_cli.qmp.shared import Shared


@pytest.fixture
def log():
    return []


@pytest.fixture
def thing(log):
    @asynccontextmanager
    async def opened():
        log.append("open")
        await asyncio.sleep(0)
        try:
            yield object()
        finally:
            await asyncio.sleep(0)
            log.append("close")

    async def make():
        return Shared(opened)

    return make


def test_users_share_one(thing, log):
    async def main():
        shared = await thing()
        async with shared.use() as one, shared.use() as two:
            assert one is two
        async with shared.use() as three:
            assert three is not one

    asyncio.run(main())
    assert log == ["open", "close"] * 2


def test_many_at_once(thing, log):
    async def main():
        shared = await thing()
        inside = 0

        async def user(pauses):
            nonlocal inside
            for _ in range(pauses):
                await asyncio.sleep(0)
            async with shared.use():
                inside += 1
                assert log.count("open") == log.count("close") + 1
                for _ in range(pauses % 4):
                    await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(user(n) for n in range(50)))
        assert inside == 0

    asyncio.run(main())
    assert log == ["open", "close"] * (len(log) // 2)


def test_a_failure_to_open_is_tried_again():
    tries = []

    @asynccontextmanager
    async def opened():
        tries.append(1)
        if len(tries) == 1:
            raise OSError
        yield "fine"

    async def main():
        shared = Shared(opened)
        with pytest.raises(OSError):
            async with shared.use():
                pass
        async with shared.use() as thing:
            return thing

    assert asyncio.run(main()) == "fine"


def test_cancelled_users_close_it(thing, log):
    async def main():
        shared = await thing()

        async def user():
            async with shared.use():
                await asyncio.sleep(1000)

        tasks = [asyncio.create_task(user()) for _ in range(3)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(main())
    assert log == ["open", "close"]
