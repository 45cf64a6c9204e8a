"""What QEMUs tell, as it happens: from their recorders.

Nobody's monitor is needed for it: each QEMU of ours writes its events to
a file by itself (:mod:`qemu_cli.instance.recorder`), and any number of
readers can follow that.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from qemu_cli.errors import StateError
from qemu_cli.instance import logs, rotation
from qemu_cli.instance.vm import VM

_MICROSECONDS = 1e6


class Event(NamedTuple):
    """One event of one VM (qmp-spec, "Asynchronous events").

    :param time_s: since 1970, by QEMU's clock; 0: it did not say
    """

    vm: str
    name: str
    data: Mapping[str, Any]
    time_s: float


async def follow(
    vms: Sequence[VM],
    *,
    names: Collection[str] = (),
    since_s: float | None = None,
) -> AsyncIterator[Event]:
    """Follow VMs, running or not; the runs to come are followed, too.

    Ends when all of their directories are gone.

    :param names: only these events; empty: all
    :param since_s: those of the last run since then come first, in
        seconds since 1970; None: none of them
    :raise StateError: one has no recorder
    """
    for vm in vms:
        check_recorded(vm)
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    # Where each begins is looked up now, and not when its turn comes.
    offsets = [
        0 if since_s is not None else rotation.size(vm.paths.events_out)
        for vm in vms
    ]

    async def one(vm: VM, offset: int) -> None:
        try:
            async for event in _events(vm, offset):
                old = since_s is not None and event.time_s < since_s
                if not old and (not names or event.name in names):
                    await queue.put(event)
        finally:
            await queue.put(None)

    tasks = [
        asyncio.create_task(one(vm, offset))
        for vm, offset in zip(vms, offsets, strict=True)
    ]
    try:
        left = len(tasks)
        while left:
            event = await queue.get()
            if event is None:
                left -= 1
            else:
                yield event
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def check_recorded(vm: VM) -> None:
    """Refuse a VM whose events nobody writes down.

    :raise StateError: it was started without this program
    """
    process = vm.process
    if vm.foreign or (
        process
        and not any("pipe,id=recorder" in word for word in process.argv)
    ):
        raise StateError(
            f"the events of '{vm.name}' can't be followed: this program has "
            "not started it, and its monitor would be held",
            hint="'qemu qmp' asks it, and holds its monitor for a moment",
        )


def since(duration_s: float) -> float:
    """The moment so long ago, in seconds since 1970."""
    return time.time() - duration_s


async def _events(vm: VM, offset: int) -> AsyncIterator[Event]:
    rest = b""
    async for block in logs.follow(vm.paths.events_out, offset):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            if event := _parse(vm.name, line):
                yield event


def _parse(name: str, line: bytes) -> Event | None:
    if b'"event"' not in line:
        return None
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        message = json.loads(line)
        stamp = message.get("timestamp", {})
        time_s = stamp.get("seconds", 0)
        time_s += stamp.get("microseconds", 0) / _MICROSECONDS
        data = message.get("data", {})
        return Event(name, str(message["event"]), data, time_s)
    return None
