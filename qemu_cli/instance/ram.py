"""The memory of a VM to a file and back: a migration to nowhere.

QEMU opens the file itself where it can (``file:``); before 8.2 it gets a
descriptor of ours (``fd:``), which also works under its sandbox.
(qapi/migration.json; docs/devel/migration)
"""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from qemu_cli.errors import (
    ConnectionLostError,
    QemuCliError,
    RefusedError,
    StateError,
)
from qemu_cli.instance import process
from qemu_cli.instance.failures import hint_for
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS
from qemu_cli.qmp.jobs import STATE_STAYS
from qemu_cli.qmp.session import Session
from qemu_cli.units import format_size

#: Bytes a second.  QEMU's default, 128 MiB/s, is meant for networks.
_BANDWIDTH = 1 << 40

#: Migration states (QAPI MigrationStatus) in which it goes on.
_UNDER_WAY = frozenset(
    {"setup", "active", "cancelling", "pre-switchover", "device"}
)

_LOOK_S = 0.05

#: What is not memory: the devices.  A few MiB, more with a display.
_DEVICES_BYTES = 32 << 20


async def size(host: Host, vm: VM) -> int:
    """Return how many bytes a VM's state takes, at most.

    Pages that the guest never touched take no room, nor do those of zeros;
    so QEMU's own size is enough.
    """
    async with host.sessions.open(vm.monitors) as session:
        sizes: Mapping[str, int] = await session.execute(
            "query-memory-size-summary"
        )
    memory = sizes["base-memory"] + sizes.get("plugged-memory", 0)
    if vm.process:  # else it is not on this host
        memory = min(memory, ProcFS().memory_bytes(vm.process))
    return memory + _DEVICES_BYTES


async def check_room(host: Host, vm: VM, directory: Path, hint: str) -> None:
    """Refuse to begin what would fill the disk.

    :param directory: where the state would be written to
    :param hint: what can be done instead
    :raise QemuCliError: there is no room
    """
    needed = await size(host, vm)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise QemuCliError(
            f"no room to save '{vm.name}': up to {format_size(needed)} for "
            f"its memory, and {format_size(free)} are free in {directory}",
            hint=hint,
        )


async def check_movable(host: Host, vm: VM, hint: str) -> None:
    """Refuse what QEMU can't write: some devices and formats forbid it.

    :param hint: what can be done instead
    :raise StateError: says which
    """
    async with host.sessions.open(vm.monitors) as session:
        state = await session.execute("query-migrate")
    reasons = state.get("blocked-reasons")
    if reasons:
        if all("VirtFS" in reason for reason in reasons):
            hint = f"umount it in the guest, or: {hint}"
        raise StateError(
            f"the RAM of '{vm.name}' can't be saved: {'; '.join(reasons)}",
            hint=hint,
        )


async def save(
    host: Host, vm: VM, file: Path, tell: Callable[[int, int], None]
) -> None:
    """Write a paused VM's state to a file; it is ``postmigrate`` then.

    :param tell: is told the bytes done, and all
    :raise RefusedError: QEMU can't, or the disk is full; its own words
    """
    async with host.sessions.open(vm.monitors) as session:
        await session.execute(
            "migrate-set-parameters", {"max-bandwidth": _BANDWIDTH}
        )
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        async with _uri(host, vm, session, file, flags) as uri:
            await session.execute("migrate", {"uri": uri})
        state = await _until_ended(session, tell)
    if state.get("status") != "completed":
        words = str(state.get("error-desc") or state.get("status"))
        hint = None
        if "No space left" in words:
            hint = f"make room on the file system of {file.parent}"
        elif words.startswith("pre-save failed"):
            hint = STATE_STAYS
        raise RefusedError(
            f"the memory of '{vm.name}' could not be saved: {words}",
            hint=hint,
        )


async def drop(host: Host, vm: VM, file: Path) -> None:
    """Cancel a :func:`save`, if it goes on, and remove the file."""
    if vm.alive:
        async with host.sessions.open(vm.monitors) as session:
            state = await session.execute("query-migrate")
            if state.get("status") in _UNDER_WAY:
                await session.execute("migrate_cancel")
            await _until_ended(session, lambda done, total: None)
    file.unlink(missing_ok=True)


async def load(host: Host, vm: VM, file: Path) -> None:
    """Have a QEMU that waits for it read a state; it stays paused.

    :raise RefusedError: the state does not fit; the message has QEMU's
        own words, and QEMU has ended
    """
    said = vm.paths.qemu_log.stat().st_size
    try:
        # One exchange: a QEMU that ends is one that closes the connection.
        async with (
            host.sessions.open(vm.monitors) as session,
            session.exchange(),
        ):
            async with _uri(host, vm, session, file, os.O_RDONLY) as uri:
                await session.execute("migrate-incoming", {"uri": uri})
            while True:
                status = await session.execute("query-status")
                if status["status"] != "inmigrate":
                    return
                await asyncio.sleep(_LOOK_S)
    except ConnectionLostError:
        words = process.last_words(vm.paths.qemu_log, said)
        raise RefusedError(
            f"the saved state of '{vm.name}' can't be loaded: {words}",
            hint=hint_for(words)
            or f"it is kept; 'qemu start {vm.name} --discard-saved' boots "
            "without it",
        ) from None


@contextlib.asynccontextmanager
async def _uri(
    host: Host, vm: VM, session: Session, file: Path, flags: int
) -> AsyncIterator[str]:
    """Yield what QEMU is to be told; use it at once."""
    known = await host.schema(vm, session)
    # One exchange: the descriptor belongs to the connection.
    async with session.exchange():
        if known.has_value("file", "migrate", "channels", "addr", "transport"):
            yield f"file:{file}"
            return
        fd = os.open(file, flags | os.O_CLOEXEC, 0o600)
        try:
            await session.execute("getfd", {"fdname": "ram"}, fd=fd)
        finally:
            os.close(fd)
        yield "fd:ram"


async def _until_ended(
    session: Session, tell: Callable[[int, int], None]
) -> Mapping[str, Any]:
    while True:
        state: Mapping[str, Any] = await session.execute("query-migrate")
        if ram := state.get("ram"):
            tell(ram["total"] - ram["remaining"], ram["total"])
        if state.get("status") not in _UNDER_WAY:
            return state
        await asyncio.sleep(_LOOK_S)
