"""Taking a device out of a running machine.  (qapi/qdev.json)"""

import asyncio
from typing import TYPE_CHECKING

from qemu_cli.errors import RefusedError, TimedOutError

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session

#: A guest that says no says one of these.
_REFUSALS = ("DEVICE_UNPLUG_GUEST_ERROR", "MEM_UNPLUG_ERROR")


async def unplug(session: "Session", device: str, timeout_s: float) -> None:
    """Ask for a device (``device_del``), and wait until it is gone.

    Some need no guest for it (USB, SCSI); of others the guest is asked.

    :param device: its id, or its QOM path
    :raise TimedOutError: the guest does not react
    :raise RefusedError: QEMU or the guest does not want to
    """
    key = "path" if device.startswith("/") else "device"
    name = device.rpartition("/")[2]
    async with session.listen("DEVICE_DELETED", *_REFUSALS) as events:
        try:
            await session.execute("device_del", {"id": device})
        except RefusedError as error:
            if "request for not supported" in str(error):
                error.hint = (
                    f"no operating system runs there that could let go of "
                    f"{name}; --next-start leaves the machine as it is"
                )
            # Somebody has asked before.
            if "already in the process of unplug" not in str(error):
                raise
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while True:
            try:
                event = await events.get(max(0.0, end - loop.time()))
            except TimedOutError:
                raise TimedOutError(
                    f"the guest has not let go of {name} in {timeout_s:g} s",
                    hint="an operating system has to run in it; a reset lets "
                    "go, too; --next-start only takes it from the definition",
                ) from None
            # That of a part of it, such as its virtio back-end, comes
            # first; it has another path, and no id.
            if event.data.get(key) != device:
                continue
            if event.name in _REFUSALS:
                why = event.data.get("msg")
                raise RefusedError(
                    f"the guest does not let go of {name}"
                    + (f": {why}" if why else ""),
                    command="device_del",
                    hint="it is in use there",
                )
            return
