"""What ``filter-dump`` would refuse, found out before it is asked for.

The reason is in :mod:`qemu_cli.instance.net.capture`.  QEMU's own checks
are in net/filter.c, ``netfilter_complete``.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.errors import QemuCliError, RefusedError, StateError
from qemu_cli.instance.net.cards import Card
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS, file_id
from qemu_cli.proc.view import View

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session

#: Their frames go from the guest to another process, past QEMU.
_PAST_QEMU = frozenset({"vhost-user", "vhost-vdpa"})

_VHOST = Path("/dev/vhost-net")

_ELSEWHERE = "the host sees these frames: tcpdump at the interface there"


def check_here(vm: VM) -> None:
    """Refuse a QEMU for which the file's name means another file.

    :raise StateError: it is on another host, or in a container
    """
    elsewhere = "out of sight" if vm.process is None else None
    if vm.process and View(ProcFS(), vm.process.pid).shares_files is False:
        elsewhere = "in a container, with other files"
    if elsewhere:
        raise StateError(
            f"the QEMU of '{vm.name}' is {elsewhere}: it would write the "
            "capture where it is",
            hint="run this command there",
        )


def check_seen(vm: VM, cards: Sequence[Card], netdev: str) -> None:
    """Refuse what goes past QEMU, or through several of its queues.

    :param netdev: the backend's id
    :raise StateError: says why QEMU can't capture it
    """
    card = next(card for card in cards if card.netdev == netdev)
    if card.queues > 1:
        raise StateError(
            f"'{netdev}' of '{vm.name}' has {card.queues} queues, and QEMU "
            "captures only what has one",
            hint=_ELSEWHERE,
        )
    if card.backend in _PAST_QEMU or (card.backend == "tap" and _vhost(vm)):
        raise StateError(
            f"the frames of '{netdev}' of '{vm.name}' go past QEMU (vhost)",
            hint=_ELSEWHERE,
        )


async def check_writes(
    session: "Session", vm: VM, id: str, file: Path
) -> None:
    """Have QEMU open the file for something that may fail.

    :param id: one that it does not have
    :raise RefusedError: it can't; says what it runs as
    """
    data = {"out": str(file), "append": True}
    try:
        await session.execute(
            "chardev-add",
            {"id": id, "backend": {"type": "file", "data": data}},
        )
    except RefusedError as error:
        why = str(error).rpartition(": ")[2]
        raise RefusedError(
            f"QEMU of '{vm.name}'{_who(vm)} can't write {file}: {why}",
            command="object-add",
            hint="name a file where it can, or run this command as the user "
            "that it runs as",
        ) from None
    await session.execute("chardev-remove", {"id": id})


def _who(vm: VM) -> str:
    user = vm.foreign and vm.foreign.user
    return f", which runs as {user}," if user else ""


def _vhost(vm: VM) -> bool:
    """Whether the kernel carries frames of this QEMU; not of which card."""
    if vm.process is None:
        return False
    with contextlib.suppress(OSError, QemuCliError):
        files = {file_id(_VHOST.stat())}
        users = ProcFS().opened(files)
        return any(each.process.pid == vm.process.pid for each in users)
    return False
