"""Writing down what goes through a network card, as tcpdump(8) does.

QEMU does it itself (``filter-dump``), with no rights on this host: frames
between the guest's card and its backend go to a pcap file.

It must not be asked for what it has to refuse: a ``filter-dump`` that
can't be made closes QEMU's file descriptor 0, which it never opened
(net/dump.c, ``dump_cleanup``), and the next one whatever has become 0
since, such as a monitor or a disk.  So all that it could refuse is found
out before: see :mod:`qemu_cli.instance.net.rehearsal`.
"""

import asyncio
import contextlib
import os
import secrets
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import (
    BusyError,
    NotFoundError,
    QemuCliError,
    RefusedError,
    StateError,
    UsageError,
)
from qemu_cli.guardian import Guardian, guarding
from qemu_cli.instance import history
from qemu_cli.instance.change import attending
from qemu_cli.instance.host import Host
from qemu_cli.instance.net import cards, rehearsal, scratch
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS, wait_exit

#: Between two looks at the file and at QEMU, in seconds.
_LOOK_S = 0.1


class Wanted(NamedTuple):
    """What is to be captured.

    :param nic: the card's or its backend's id; None: the only one
    :param file: None: it goes to ``write`` as it comes
    :param force: overwrite the file
    :param for_s: when to end, in seconds; None: when it is cancelled
    :param max_bytes: end when the file is as large
    :param snap_bytes: of each frame
    """

    nic: str | None
    file: Path | None
    force: bool = False
    for_s: float | None = None
    max_bytes: int | None = None
    snap_bytes: int = 65536


class Captured(NamedTuple):
    """What came of it.

    :param reason: why it ended
    """

    netdev: str
    size_bytes: int
    reason: str


async def capture(
    host: Host,
    vm: VM,
    wanted: Wanted,
    *,
    begun: Callable[[str], object],
    write: Callable[[bytes], object],
) -> Captured:
    """Capture until the time or the size is reached, or the VM ends.

    When it is cancelled, or we are killed, it ends in QEMU, too.

    :param begun: told the backend's id when QEMU captures
    :raise StateError: the VM does not run, has no network, or one whose
        frames QEMU does not see
    :raise UsageError: the file is there already
    :raise RefusedError: QEMU can't write it
    """
    id = f"qemu-cli-capture-{secrets.token_hex(4)}"
    async with contextlib.AsyncExitStack() as outer:
        async with contextlib.AsyncExitStack() as stack:
            async with attending(host, vm) as now:
                check_answers(now)
                rehearsal.check_here(now)
                found = await cards.ask(host, now)
                netdev = cards.pick(now, found, wanted.nic, backends=True)
                rehearsal.check_seen(now, found, netdev)
                file = wanted.file or scratch.make(outer, now)
                made = wanted.file and _make(file, wanted.force)
                reader = outer.enter_context(file.open("r+b", buffering=0))
                guardian = stack.enter_context(
                    guarding(
                        ["qmp", vm.reference, "object-del", f"id={id}"],
                        ["qmp", vm.reference, "chardev-remove", f"id={id}"],
                    )
                )
                guardian.arm()
                try:
                    await _begin(host, now, id, netdev, wanted, file)
                except (RefusedError, BusyError, StateError):
                    guardian.disarm()  # there is nothing of it
                    if made:
                        file.unlink(missing_ok=True)
                    raise
                except BaseException:
                    await _end(host, now, id, guardian)
                    raise
                stack.push_async_callback(_end, host, now, id, guardian)
                history.note(
                    vm.paths, "net capture", command=host.who, nic=netdev
                )
            begun(netdev)
            reason = "its time is over"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wanted.for_s):
                    async for why in _looks(now, file, wanted.max_bytes):
                        if wanted.file is None:
                            scratch.pass_on(reader, write)
                        if why:
                            reason = why
                            break
        if wanted.file is None:
            scratch.pass_on(reader, write)
        return Captured(netdev, file.stat().st_size, reason)


async def _looks(
    vm: VM, file: Path, max_bytes: int | None
) -> AsyncIterator[str]:
    """Look again and again; yields why it is to end, else nothing."""
    procfs = ProcFS()
    assert vm.process is not None  # noqa: S101
    with contextlib.ExitStack() as stack:
        try:
            pidfd = procfs.open_pidfd(vm.process)
        except NotFoundError:
            yield f"'{vm.name}' has ended"
            return
        stack.callback(os.close, pidfd)
        while True:
            if wait_exit(pidfd, 0):
                yield f"'{vm.name}' has ended"
            elif max_bytes is not None and file.stat().st_size >= max_bytes:
                yield "the file is as large as it may be"
            else:
                yield ""
            await asyncio.sleep(_LOOK_S)


async def _begin(
    host: Host, vm: VM, id: str, netdev: str, wanted: Wanted, file: Path
) -> None:
    async with host.sessions.open(vm.monitors) as session, session.exchange():
        await rehearsal.check_writes(session, vm, id, file)
        await session.execute(
            "object-add",
            {
                "qom-type": "filter-dump",
                "id": id,
                "netdev": netdev,
                "file": str(file),
                "maxlen": wanted.snap_bytes,
            },
        )


async def _end(host: Host, vm: VM, id: str, guardian: Guardian) -> None:
    """Have QEMU close the file; one that has ended has done so.

    Where that fails the guardian, who is still armed, tries it again.
    """
    try:
        await asyncio.shield(_delete(host, vm, id))
    except QemuCliError as error:
        if not _has_ended(vm):
            host.warn(
                f"{vm.name}: QEMU may still capture: {error}; 'qemu qmp "
                f"{vm.reference} object-del id={id}' ends it"
            )
            return
    guardian.disarm()


async def _delete(host: Host, vm: VM, id: str) -> None:
    async with host.sessions.open(vm.monitors) as session:
        with contextlib.suppress(RefusedError):  # it is gone already
            await session.execute("object-del", {"id": id})


def _has_ended(vm: VM) -> bool:
    assert vm.process is not None  # noqa: S101
    now = ProcFS().process(vm.process.pid)
    return now is None or now.start_time != vm.process.start_time


def _make(file: Path, force: bool) -> bool:
    """Make the file, so that it is ours alone: QEMU's would be for all.

    :return: whether it was not there before
    :raise UsageError: it is there, or is no file
    :raise StateError: it can't be made
    """
    try:
        is_new = not (force and file.exists())
        how = os.O_CREAT | os.O_RDWR | (0 if force else os.O_EXCL)
        descriptor = os.open(file, how | os.O_NONBLOCK, 0o600)
    except FileExistsError:
        raise UsageError(
            f"{file} is there already", hint="--force overwrites it"
        ) from None
    except OSError as error:
        raise StateError(f"{file}: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            # QEMU would wait for who reads a pipe, and its guest with it.
            raise UsageError(
                f"{file} is no ordinary file",
                hint="'-' captures to standard output",
            )
    finally:
        os.close(descriptor)
    return is_new
