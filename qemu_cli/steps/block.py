"""The steps on block nodes and the devices that are plugged onto them.

All of them look first: what is there is not added again, what is gone
not taken away.  With its QEMU, all that they did is gone as well.
(qapi/block-core.json, qapi/qdev.json, qapi/block.json)
"""

import asyncio
import json
import shlex
from typing import Any

from qemu_cli.errors import (
    ConnectionLostError,
    QemuCliError,
    RefusedError,
    StateError,
    TimedOutError,
)
from qemu_cli.steps.base import Hands, Step
from qemu_cli.steps.job import OrderJob
from qemu_cli.steps.tool import run_tool

#: All that there are, and all that have to be given (QAPI
#: BlockIOThrottle); 0 is none.
_LIMITS = ("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr")

#: How often QEMU is asked whether something has happened.
_LOOK_S = 0.1

#: A device that is gone may hold its node for a moment longer.
_IN_USE_S = 10.0

#: How long a guest may take to open a tray.
_TRAY_S = 3.0
_OPEN_TRAY = "blockdev-open-tray"

#: How long taking back a device may take; one that the guest has not seen
#: yet may stay until its next reset.
_BACK_S = 10.0


class AddNode(Step, frozen=True, tag=True):
    """Open an image as a block node (``blockdev-add``)."""

    options: dict[str, Any]

    def describe(self) -> str:
        return _message("blockdev-add", self.options)

    async def do(self, hands: Hands) -> None:
        if self.options["node-name"] not in await _nodes(hands):
            await hands.execute("blockdev-add", self.options)

    async def undo(self, hands: Hands) -> None:
        await DropNodes((self.options["node-name"],)).do(hands)


class DropNodes(Step, frozen=True, tag=True):
    """Close block nodes, parents before their children.

    QEMU closes those itself that it has opened by itself.
    """

    names: tuple[str, ...]

    def describe(self) -> str:
        return "\n".join(
            _message("blockdev-del", {"node-name": name})
            for name in self.names
        )

    async def do(self, hands: Hands) -> None:
        if not await hands.runs():
            return
        for name in self.names:
            await self._drop(hands, name)

    @staticmethod
    async def _drop(hands: Hands, name: str) -> None:
        for _ in range(round(_IN_USE_S / _LOOK_S)):
            if name not in await _nodes(hands):
                return
            try:
                await hands.execute("blockdev-del", {"node-name": name})
            except RefusedError as refused:
                error = refused
                await asyncio.sleep(_LOOK_S)
        raise error


class Flush(Step, frozen=True, tag=True):
    """Have QEMU write what it has cached of an image, and sync it.

    Block jobs do not: they give an overlay another backing file while the
    tables of what they have copied may not be in the file yet.

    :param qdev: the device, as QEMU calls it
    :param node: a block node, for an image below the active layer
    """

    qdev: str = ""
    node: str = ""

    def describe(self) -> str:
        return _message("human-monitor-command", self._arguments())

    async def do(self, hands: Hands) -> None:
        if not await hands.runs():
            return
        text = await hands.execute("human-monitor-command", self._arguments())
        if text.strip():
            raise QemuCliError(
                f"{self.node or self.qdev} can't be flushed: {text.strip()}"
            )

    def _arguments(self) -> dict[str, str]:
        which = self.node or f"-d {self.qdev}"
        return {"command-line": f"qemu-io {which} flush"}


class Repoint(Step, frozen=True, tag=True):
    """Write into an overlay on what it stands, if its QEMU has died.

    A job was about to do that, and all that it copies was on disk.

    :param argv: the command that changes the overlay's header, no more
    """

    argv: tuple[str, ...]

    def describe(self) -> str:
        return f"# if QEMU dies here: {shlex.join(self.argv)}"

    async def do(self, hands: Hands) -> None:
        if not await hands.runs():
            await run_tool(self.argv)


class Plug(Step, frozen=True, tag=True):
    """Plug a device into a running machine (``device_add``)."""

    properties: dict[str, Any]

    def describe(self) -> str:
        return _message("device_add", self.properties)

    async def do(self, hands: Hands) -> None:
        if not await _plugged(hands, self.properties["id"]):
            await hands.execute("device_add", self.properties)

    async def undo(self, hands: Hands) -> None:
        await Unplug(self.properties["id"], _BACK_S).do(hands)

    async def is_done(self, hands: Hands) -> bool:
        return await _plugged(hands, self.properties["id"])


class Unplug(Step, frozen=True, tag=True):
    """Ask the guest to let go of a device, and wait until it has.

    It can't be taken back: who has been asked may still do it.
    """

    id: str
    timeout_s: float

    def describe(self) -> str:
        return _message("device_del", {"id": self.id})

    async def do(self, hands: Hands) -> None:
        if not await _plugged(hands, self.id):
            return
        try:
            await hands.unplug(self.id, self.timeout_s)
        except (ConnectionLostError, TimedOutError):
            if await _plugged(hands, self.id):
                raise

    async def is_done(self, hands: Hands) -> bool:
        return not await _plugged(hands, self.id)


class ChangeMedium(Step, frozen=True, tag=True):
    """Take what is in a drive out, and put something else in.

    :param qdev: the drive, as QEMU calls it
    :param node: what is put in; None: the drive stays empty, and closed
    :param previous: what was in there; None: nothing
    :param force: also when the guest has locked the tray
    """

    qdev: str
    node: str | None
    previous: str | None
    force: bool = False

    def describe(self) -> str:
        return "\n".join(
            _message(command, arguments)
            for command, arguments in self._commands(self.node, self.force)
        )

    async def do(self, hands: Hands) -> None:
        await self._change(hands, self.node, self.force)

    async def undo(self, hands: Hands) -> None:
        if await hands.runs():
            await self._change(hands, self.previous, True)

    async def is_done(self, hands: Hands) -> bool:
        block = await _block(hands, self.qdev)
        return bool(block) and _inserted(block) == self.node

    async def _change(
        self, hands: Hands, node: str | None, force: bool
    ) -> None:
        block = await _block(hands, self.qdev)
        if _inserted(block) == node and not block.get("tray_open"):
            return
        for command, arguments in self._commands(node, force):
            await hands.execute(command, arguments)
            if command == _OPEN_TRAY:
                await self._opened(hands)

    async def _opened(self, hands: Hands) -> None:
        """Wait until the tray is open.

        Of a guest that has locked it, QEMU only asks for that, and says
        nothing (qapi/block.json, blockdev-open-tray).

        :raise StateError: it does not
        """
        for _ in range(round(_TRAY_S / _LOOK_S)):
            if (await _block(hands, self.qdev)).get("tray_open"):
                return
            await asyncio.sleep(_LOOK_S)
        raise StateError(
            f"the guest has locked the drive {self.qdev}",
            hint="unmount it in the guest, or take it out all the same: "
            "--force",
        )

    def _commands(
        self, node: str | None, force: bool
    ) -> list[tuple[str, dict[str, Any]]]:
        drive = {"id": self.qdev}
        commands: list[tuple[str, dict[str, Any]]] = [
            (_OPEN_TRAY, {**drive, "force": force}),
            ("blockdev-remove-medium", drive),
        ]
        if node is not None:
            insert = {**drive, "node-name": node}
            commands.append(("blockdev-insert-medium", insert))
        return [*commands, ("blockdev-close-tray", drive)]


class Throttle(Step, frozen=True, tag=True):
    """Limit what a device reads and writes (``block_set_io_throttle``).

    :param id: the device's
    :param limits: by their names in QAPI (BlockIOThrottle); those that are
        not named are lifted
    :param previous: the limits before
    """

    id: str
    limits: dict[str, int]
    previous: dict[str, int]

    def describe(self) -> str:
        return _message("block_set_io_throttle", self._arguments(self.id))

    async def do(self, hands: Hands) -> None:
        for block in await hands.execute("query-block", {}):
            # That of a virtio disk is a part of the device of that id.
            qdev = str(block.get("qdev"))
            name = qdev.removesuffix("/virtio-backend").split("/")[-1]
            if name == self.id:
                await hands.execute(
                    "block_set_io_throttle", self._arguments(qdev)
                )

    async def undo(self, hands: Hands) -> None:
        if await hands.runs():
            await Throttle(self.id, self.previous, {}).do(hands)

    def _arguments(self, qdev: str) -> dict[str, Any]:
        return {"id": qdev, **dict.fromkeys(_LIMITS, 0), **self.limits}


class Pivot(Step, frozen=True, tag=True):
    """Let a device go over to another node, and its job end.

    The job is ``pending``: both nodes read the same, and the guest's
    writes are held.  So a QEMU that dies here is no matter, whether it
    had gone over or not, if the new node's image is the one that counts
    from now on.

    :param qdev: the device, as QEMU calls it
    :param node: the new node
    """

    job_id: str
    qdev: str
    node: str

    def describe(self) -> str:
        return _message("job-finalize", {"id": self.job_id})

    async def do(self, hands: Hands) -> None:
        try:
            await hands.order_job(OrderJob("job-finalize", self.job_id))
        except ConnectionLostError:
            await asyncio.sleep(_LOOK_S)  # it closes its monitor, then ends
            if await hands.runs():
                raise
        if not await self.is_done(hands):
            raise QemuCliError(
                f"the job {self.job_id} was ended by somebody else"
            )

    async def undo(self, hands: Hands) -> None:
        if await hands.runs() and await self.is_done(hands):
            raise QemuCliError("the disk has gone over to its new image")

    async def is_done(self, hands: Hands) -> bool:
        if not await hands.runs():
            return True
        return _inserted(await _block(hands, self.qdev)) == self.node


def _message(command: str, arguments: dict[str, Any]) -> str:
    return f"qmp {json.dumps({'execute': command, 'arguments': arguments})}"


async def _nodes(hands: Hands) -> set[str]:
    """The names of all nodes; of no QEMU: none."""
    if not await hands.runs():
        return set()
    nodes = await hands.execute("query-named-block-nodes", {"flat": True})
    return {node["node-name"] for node in nodes}


async def _plugged(hands: Hands, id: str) -> bool:
    if not await hands.runs():
        return False
    devices = await hands.execute("qom-list", {"path": "/machine/peripheral"})
    return any(device["name"] == id for device in devices)


async def _block(hands: Hands, qdev: str) -> dict[str, Any]:
    """The device as ``query-block`` shows it; empty if there is none."""
    if not await hands.runs():
        return {}
    for block in await hands.execute("query-block", {}):
        if qdev in (block.get("qdev"), block["device"]):
            return dict(block)
    return {}


def _inserted(block: dict[str, Any]) -> str | None:
    node = block.get("inserted", {}).get("node-name")
    return None if node is None else str(node)
