"""The steps on what is behind a device on the host: its back-end.

With its QEMU, all that they did is gone.  (qapi/net.json, qapi/qom.json)
"""

import json
from typing import Any

from qemu_cli.errors import RefusedError
from qemu_cli.steps.base import Hands, Step


class AddNetdev(Step, frozen=True, tag=True):
    """Make the back-end of a NIC in the user network (``netdev_add``)."""

    id: str

    def describe(self) -> str:
        return _message("netdev_add", self._options)

    @property
    def _options(self) -> dict[str, Any]:
        return {"type": "user", "id": self.id}

    async def do(self, hands: Hands) -> None:
        try:
            await hands.execute("netdev_add", self._options)
        except RefusedError as error:
            if "uplicate" not in str(error):  # done before
                raise

    async def undo(self, hands: Hands) -> None:
        await DropNetdev(self.id).do(hands)


class DropNetdev(Step, frozen=True, tag=True):
    """Close the back-end of a NIC (``netdev_del``)."""

    id: str

    def describe(self) -> str:
        return _message("netdev_del", {"id": self.id})

    async def do(self, hands: Hands) -> None:
        if not await hands.runs():
            return
        try:
            await hands.execute("netdev_del", {"id": self.id})
        except RefusedError as error:
            if error.error_class != "DeviceNotFound":
                raise


class AddMemory(Step, frozen=True, tag=True):
    """Allocate the RAM of a DIMM (``object-add``)."""

    id: str
    size_bytes: int
    shared: bool = False  # a program beside QEMU maps it

    def describe(self) -> str:
        return _message("object-add", self._options)

    @property
    def _options(self) -> dict[str, Any]:
        kind = "memfd" if self.shared else "ram"
        return {
            "qom-type": f"memory-backend-{kind}",
            "id": self.id,
            "size": self.size_bytes,
            **({"share": True} if self.shared else {}),
        }

    async def do(self, hands: Hands) -> None:
        if not await _there(hands, self.id):
            await hands.execute("object-add", self._options)

    async def undo(self, hands: Hands) -> None:
        await DropMemory(self.id).do(hands)


class DropMemory(Step, frozen=True, tag=True):
    """Free the RAM of a DIMM (``object-del``)."""

    id: str

    def describe(self) -> str:
        return _message("object-del", {"id": self.id})

    async def do(self, hands: Hands) -> None:
        if await _there(hands, self.id):
            await hands.execute("object-del", {"id": self.id})


async def _there(hands: Hands, id: str) -> bool:
    if not await hands.runs():
        return False
    objects = await hands.execute("qom-list", {"path": "/objects"})
    return any(each["name"] == id for each in objects)


def _message(command: str, arguments: dict[str, Any]) -> str:
    return f"qmp {json.dumps({'execute': command, 'arguments': arguments})}"
