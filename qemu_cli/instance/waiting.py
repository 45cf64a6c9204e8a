"""Waiting until something holds of VMs."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from qemu_cli import extensions
from qemu_cli.errors import (
    ConnectionLostError,
    StateError,
    TimedOutError,
    UsageError,
)
from qemu_cli.instance import watched
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM

if TYPE_CHECKING:
    from qemu_cli.conditions import Condition

GROUP = "qemu_cli.conditions"


class Wish(NamedTuple):
    """One condition, as it was typed."""

    text: str
    name: str
    condition: "Condition"


class Seen(NamedTuple):
    """A condition that holds."""

    vm: str
    text: str
    what: str


def wish(text: str) -> Wish:
    """Understand ``NAME`` or ``NAME:ARGUMENT``.

    :raise UsageError: there is no such condition, or it says why not
    :raise PluginError: its plug-in is broken
    """
    name, _, argument = text.partition(":")
    kind = extensions.pick(GROUP, name)
    try:
        return Wish(text, name, kind(argument or None))
    except UsageError as error:
        raise UsageError(f"--for {text}: {error}", hint=error.hint) from error


async def wait(
    host: Host,
    vms: Sequence[VM],
    wishes: Sequence[Wish],
    *,
    first: bool = False,
    timeout_s: float | None = None,
) -> list[Seen]:
    """Wait until all conditions hold, each at its time, of all VMs.

    :param first: one of them will do
    :return: what was seen, in the order in which it was
    :raise TimedOutError: the time is over; names what was still missing
    :raise StateError: a VM ended before it could hold
    """
    seen: list[Seen] = []
    tasks = {
        asyncio.create_task(_one(host, vm, each)): f"{vm.name}: {each.text}"
        for vm in vms
        for each in wishes
    }
    waits_for = set(tasks)
    try:
        async with asyncio.timeout(timeout_s):
            while waits_for and not (first and seen):
                done, waits_for = await asyncio.wait(
                    waits_for, return_when=asyncio.FIRST_COMPLETED
                )
                seen += [task.result() for task in done]
    except TimeoutError:
        missing = ", ".join(sorted(tasks[task] for task in waits_for))
        raise TimedOutError(f"not within {timeout_s:g} s: {missing}") from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return seen


async def _one(host: Host, vm: VM, wanted: Wish) -> Seen:
    """Wait for one condition of one VM, or for the VM's end."""
    holding = asyncio.create_task(wanted.condition.hold(host, vm))
    watching = [holding]
    if not wanted.condition.outlives:
        watching.append(asyncio.create_task(_end(host, vm)))
    try:
        await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
        if holding.done():
            with suppress(ConnectionLostError):
                return Seen(vm.name, wanted.text, holding.result())
        await watching[-1]  # the instance may be gone
        raise StateError(
            f"'{vm.name}' has ended, and {wanted.text} did not come",
            hint=f"'qemu log {vm.name}' tells why",
        )
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def _end(host: Host, vm: VM) -> str:
    await watched.alive(host, vm)
    await watched.ended(host, vm)
    return ""
