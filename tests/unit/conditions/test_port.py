"""When a port of a guest counts as served; sockets of our own."""

import asyncio
import time

import pytest

from qemu_cli.conditions.inside import _served


async def ask(greet):
    """Ask a server that does ``greet(writer)`` with each client."""

    async def serve(reader, writer):
        greet(writer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        _, port = server.sockets[0].getsockname()
        begun = time.monotonic()
        return await _served("127.0.0.1", port), time.monotonic() - begun


@pytest.mark.parametrize(
    ("greet", "is_served", "least_s"),
    [
        (lambda writer: writer.write(b"220 hello"), True, 0),
        (lambda writer: None, True, 0.5),
        (lambda writer: writer.close(), False, 0),
        (lambda writer: writer.transport.abort(), False, 0),
    ],
    ids=["it speaks first", "it stays open", "it is closed", "it is reset"],
)
def test_who_accepts_is_not_served_yet(greet, is_served, least_s):
    found, took_s = asyncio.run(ask(greet))
    assert found is is_served
    assert took_s >= least_s


def test_nobody_listens():
    assert asyncio.run(_served("127.0.0.1", 1)) is False
