"""Talking to a fake QEMU."""

import asyncio

from qemu_cli.qmp.sessions import Sessions

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
