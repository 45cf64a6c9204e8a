"""A VM in the foreground: its serial port to us, until QEMU has ended."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from qemu_cli import settings
from qemu_cli.errors import NotFoundError, QemuCliError, TimedOutError
from qemu_cli.instance import change, history, logs, process, shutdown
from qemu_cli.instance.delete import delete
from qemu_cli.instance.host import Host
from qemu_cli.instance.looking import look
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.proc import ProcFS

#: QAPI ShutdownCauses that are the guest's own, orderly end.
_ORDERLY = frozenset({"guest-shutdown", "guest-reset"})

#: How long what is in the log already may take to be written out.
_LAST_WORDS_S = 0.2


async def follow(
    host: Host, vm: VM, write: Callable[[bytes], object], offset: int
) -> None:
    """Pass on what the guest writes until its QEMU has ended.

    When it is cancelled it asks the guest to shut down, and goes on.

    :param write: takes what came from the serial port
    :param offset: in the serial log, where to begin
    :raise TimedOutError: the guest did not shut down; it still runs
    """
    assert vm.process is not None  # noqa: S101
    pidfd = ProcFS().open_pidfd(vm.process)
    copying = asyncio.create_task(_copy(vm.paths, write, offset))
    ending = asyncio.create_task(process.gone(pidfd, None))
    try:
        try:
            await asyncio.wait(
                (copying, ending), return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:
            await leave(host, vm)
        if copying.done():
            copying.result()  # the reader of our output may be gone
        await ending
        # The last words are in the log before QEMU ends.
        await asyncio.sleep(_LAST_WORDS_S)
    finally:
        for task in (copying, ending):
            task.cancel()
        await asyncio.wait((copying, ending))
        os.close(pidfd)


async def leave(host: Host, vm: VM) -> None:
    """Ask the guest to shut down if it runs, and wait until it has.

    :raise StateError: it is paused, and can't hear us
    :raise TimedOutError: it did not; it still runs
    """
    now = _look(host, vm.paths)
    if now.alive:
        host.say(f"{vm.name}: asking the guest to shut down; Ctrl-C leaves it")
        timeout_s = host.config[settings.SHUTDOWN_TIMEOUT]
        with suppress(NotFoundError):  # it has ended just now
            await shutdown.shutdown(host, now, timeout_s=timeout_s)


async def outcome(host: Host, paths: InstancePaths) -> str:
    """Write down how the run ended, and say it.

    :return: the reason, QAPI's ShutdownCause
    :raise QemuCliError: the guest did not end it
    """
    async with change.claimed(host, paths):
        now = _look(host, paths)
        if now.alive:
            raise TimedOutError(f"'{paths.name}' still runs")
        reason = history.exit_reason(paths)
        if now.reason == "saved":
            return now.reason
        process.remove_sockets(paths)
        change.settle(host, paths, command=host.who)
    if reason not in _ORDERLY:
        raise QemuCliError(
            f"the guest of '{paths.name}' did not shut down: {reason}",
            hint=f"'qemu log {paths.name}' tells more",
        )
    return reason


async def remove(host: Host, paths: InstancePaths) -> None:
    """End a VM's QEMU, whatever it does, and delete the instance."""
    now = _look(host, paths)
    if now.alive:
        await shutdown.kill(host, now)
    if paths.directory.exists():
        await delete(host, now)


def _look(host: Host, paths: InstancePaths) -> VM:
    return look(host.paths, [paths.name], ProcFS(), host.probe)[0]


async def _copy(
    paths: InstancePaths, write: Callable[[bytes], object], offset: int
) -> None:
    async for block in logs.follow(paths.serial_log, offset):
        write(block)
    await asyncio.Event().wait()  # the directory is gone; QEMU is not
