"""Steps that serve disks to NBD clients (qapi/block-export.json).

QEMU has one NBD server, and nobody can ask it where; ours listens on the
VM's private unix socket, so the kernel knows.  With its QEMU, all that
these steps did is gone as well.
"""

import asyncio
import contextlib
import json
from typing import Any, Protocol

from qemu_cli.errors import BusyError, RefusedError, StateError, TimedOutError
from qemu_cli.proc import ProcFS
from qemu_cli.steps.base import Hands, Step

#: How long requests that are under way may take to end, in seconds.
_END_TIMEOUT_S = 30.0
_LOOK_S = 0.01


class Talks(Protocol):
    """The part of :class:`Hands` that talks to one server."""

    async def runs(self) -> bool:
        """Tell whether it is there."""

    async def execute(self, command: str, arguments: dict[str, Any]) -> Any:
        """Send it a QMP command."""


class Switch(Step, frozen=True, tag=True):
    """Have devices use other nodes, all of them at one moment.

    A device is never given the node that it has: QEMU 7.2 aborts then
    (``bdrv_replace_child_noperm``: ``old_bs != new_bs``).

    :param devices: of each what ``query-block`` calls it, the node that
        it has, and the one that it gets
    :param actions: a ``transaction`` of the same moment; not undone
    :param stop: the guest runs, and is stopped for that moment
    """

    devices: tuple[tuple[str, str, str], ...]
    actions: tuple[dict[str, Any], ...] = ()
    stop: bool = False

    def describe(self) -> str:
        messages: list[dict[str, Any]] = [
            {"execute": "qom-set", "arguments": _drive(device, new)}
            for device, _, new in self.devices
        ]
        if self.actions:
            arguments = {"actions": list(self.actions)}
            messages.append({"execute": "transaction", "arguments": arguments})
        if self.stop:
            messages = [{"execute": "stop"}, *messages, {"execute": "cont"}]
        return "\n".join(f"qmp {json.dumps(each)}" for each in messages)

    async def do(self, hands: Hands) -> None:
        if not await hands.runs():
            return
        if self.stop:
            await hands.execute("stop", {})
        has = await _inserted(hands)
        for device, old, new in self.devices:
            if has.get(device) not in (old, new):
                raise StateError(
                    f"{device} does not use the node {old} any more, but "
                    f"{has.get(device)}: somebody has changed it meanwhile"
                )
            await self._set(hands, has, device, new)
        if self.actions:
            arguments = {"actions": list(self.actions)}
            await hands.execute("transaction", arguments)
        if self.stop:
            await hands.execute("cont", {})

    async def undo(self, hands: Hands) -> None:
        if not await hands.runs():
            return
        has = await _inserted(hands)
        for device, old, new in self.devices:
            if has.get(device) == new:
                await self._set(hands, has, device, old)
        if self.stop:
            status = await hands.execute("query-status", {})
            if status["status"] == "paused":
                await hands.execute("cont", {})

    @staticmethod
    async def _set(
        hands: Hands, has: dict[str, str], device: str, node: str
    ) -> None:
        if has[device] != node:
            await hands.execute("qom-set", _drive(device, node))


def qom_path(qdev: str) -> str:
    """Say where a device is that ``query-block`` calls by its id only."""
    return qdev if qdev.startswith("/") else f"/machine/peripheral/{qdev}"


def _drive(qdev: str, node: str) -> dict[str, Any]:
    return {"path": qom_path(qdev), "property": "drive", "value": node}


class StartServer(Step, frozen=True, tag=True):
    """Have QEMU listen for NBD clients, if it does not yet.

    :param stoppable: see :class:`StopServer`
    """

    socket: str
    stoppable: bool

    def describe(self) -> str:
        message = {"execute": "nbd-server-start", "arguments": self._arguments}
        return f"qmp {json.dumps(message)}"

    @property
    def _arguments(self) -> dict[str, Any]:
        return {"addr": {"type": "unix", "data": {"path": self.socket}}}

    async def do(self, hands: Hands) -> None:
        if self.socket in ProcFS().listening():
            return
        try:
            await hands.execute("nbd-server-start", self._arguments)
        except RefusedError as error:
            if "already running" not in str(error):
                raise
            raise StateError(
                "the VM's QEMU serves NBD already, at another place: "
                "somebody has started that by hand",
                hint="QEMU has only one NBD server; end that one with the "
                "QMP command nbd-server-stop",
            ) from None

    async def undo(self, hands: Hands) -> None:
        if self.stoppable:
            await _stop_server(hands, self.socket)


class StopServer(Step, frozen=True, tag=True):
    """End QEMU's NBD server, unless it serves something.

    Only for a QEMU whose nbd-server-start knows handshake-max-seconds: an
    older one (7.2) can hang in it for ever.
    """

    socket: str

    def describe(self) -> str:
        return 'qmp {"execute": "nbd-server-stop"}'

    async def do(self, hands: Hands) -> None:
        await _stop_server(hands, self.socket)


class AddExport(Step, frozen=True, tag=True):
    """Serve a node (``block-export-add``)."""

    arguments: dict[str, Any]

    def describe(self) -> str:
        message = {"execute": "block-export-add", "arguments": self.arguments}
        return f"qmp {json.dumps(message)}"

    async def do(self, hands: Hands) -> None:
        if self.arguments["id"] not in await _exports(hands):
            await hands.execute("block-export-add", self.arguments)

    async def undo(self, hands: Hands) -> None:
        await drop(hands, self.arguments["id"], "hard")


class DropExport(Step, frozen=True, tag=True):
    """Serve a node no more, and wait until that is so.

    :param hard: also when a client is connected: it is cut off
    """

    id: str
    hard: bool = False

    def describe(self) -> str:
        arguments = {"id": self.id, "mode": self._mode}
        message = {"execute": "block-export-del", "arguments": arguments}
        return f"qmp {json.dumps(message)}"

    @property
    def _mode(self) -> str:
        return "hard" if self.hard else "safe"

    async def do(self, hands: Hands) -> None:
        await drop(hands, self.id, self._mode)

    async def is_done(self, hands: Hands) -> bool:
        return not await hands.runs() or self.id not in await _exports(hands)


def in_use(export: str) -> BusyError:
    """Say that an export can't be taken down in good order."""
    return BusyError(
        f"the export {export} is still in use: a client is connected",
        hint="wait for it, or cut it off with --hard",
    )


async def _inserted(hands: Hands) -> dict[str, str]:
    """The topmost node of each device."""
    return {
        block["qdev"]: block["inserted"]["node-name"]
        for block in await hands.execute("query-block", {})
        if "qdev" in block and "inserted" in block
    }


async def _exports(hands: Talks) -> set[str]:
    exports = await hands.execute("query-block-exports", {})
    return {export["id"] for export in exports}


async def drop(hands: Talks, export: str, mode: str) -> None:
    """Serve a node no more, and wait until that is so.

    :param hands: what talks to who serves it
    :raise BusyError: a client is connected, and the mode is ``safe``
    """
    if not await hands.runs() or export not in await _exports(hands):
        return
    arguments = {"id": export, "mode": mode}
    try:
        await hands.execute("block-export-del", arguments)
    except RefusedError as error:
        if "still in use" not in str(error):
            raise
        raise in_use(export) from None
    # The client's requests are finished first; until then the node is used.
    try:
        async with asyncio.timeout(_END_TIMEOUT_S):
            while export in await _exports(hands):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise TimedOutError(
            f"the export {export} has not ended in {_END_TIMEOUT_S:g} s: "
            "QEMU waits for a disk",
            hint="the next command on this VM goes on from here",
        ) from None


async def _stop_server(hands: Hands, socket: str) -> None:
    if not await hands.runs() or socket not in ProcFS().listening():
        return
    if not await _exports(hands):
        with contextlib.suppress(RefusedError):  # it is stopped already
            await hands.execute("nbd-server-stop", {})
