"""Steps that go back to an internal snapshot, with its memory or without.

QEMU turns the disks back first and reads the memory then, so a load can
fail half-way.  A guest that ran on then would write what its memory
knows of today to disks of another day; so no step here ever leaves such
a guest.  (migration/savevm.c in QEMU's sources: load_snapshot)
"""

import asyncio
import logging
import re
import shlex
from typing import Any

from qemu_cli.errors import (
    ConnectionLostError,
    QemuCliError,
    RefusedError,
    StateError,
)
from qemu_cli.steps.base import Hands, Step
from qemu_cli.steps.job import Job
from qemu_cli.steps.snapshot import TagImage
from qemu_cli.steps.tool import run_tool

#: What a load is refused with before it has touched anything.
_BEFORE = re.compile(
    r"does not exist in one or more devices"
    r"|does not support snapshots"
    r"|No block device node"
    r"|vmstate block device"
    r"|migration process in progress"
    r"|disk-only snapshot"
)

#: How often, and how far apart, a QEMU is looked for that may be ending.
_GONE_POLLS = 40
_GONE_POLL_S = 0.05

_log = logging.getLogger(__name__)


def changed_nothing(error: QemuCliError) -> bool:
    """Tell whether a load was refused before it had touched anything."""
    return isinstance(error, RefusedError) and bool(_BEFORE.search(str(error)))


class LoadSnapshot(Step, frozen=True, tag=True):
    """Have QEMU load an internal snapshot; the guest's CPUs stand still.

    :param job_id: of the job (``snapshot-load``)
    :param vmstate: the node whose image has the memory
    :param devices: the nodes of all disks that are written to
    :param in_place: they are what the VM writes to today.  Then a QEMU
        that fails half-way, or does not answer, is ended, and the step
        counts as done: :class:`TurnBack` comes next.  Else they are
        copies, nothing is lost, and it is an error.
    """

    job_id: str
    tag: str
    vmstate: str
    devices: tuple[str, ...]
    in_place: bool

    def describe(self) -> str:
        return self._job.describe()

    @property
    def _job(self) -> Job:
        arguments: dict[str, Any] = {
            "tag": self.tag,
            "vmstate": self.vmstate,
            "devices": list(self.devices),
        }
        return Job("snapshot-load", self.job_id, arguments)

    async def do(self, hands: Hands) -> None:
        task = asyncio.ensure_future(self._load_or_end(hands))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            # Neither QEMU nor we could say now which disks are back.
            _log.warning("going back can't be cancelled; waiting")
            await asyncio.wait((task,))
            task.result()

    async def _load_or_end(self, hands: Hands) -> None:
        try:
            await self._load(hands)
        except QemuCliError as error:
            if not self.in_place or changed_nothing(error):
                raise
            await _end(hands)

    async def _load(self, hands: Hands) -> None:
        if not await hands.runs():
            raise ConnectionLostError("QEMU ended before the snapshot was in")
        await hands.run_job(self._job)

    async def is_done(self, hands: Hands) -> bool:
        # Nobody noted how far it came, and to load again is harmless.
        try:
            await self.do(hands)
        except QemuCliError:
            return False
        return True


class TurnBack(Step, frozen=True, tag=True):
    """Turn images back to an internal snapshot, without QEMU.

    It can't be undone; to do it twice is harmless.

    :param commands: for each image, in this order
    :param if_ended: only if there is no QEMU: it has done it otherwise
    """

    commands: tuple[tuple[str, ...], ...]
    if_ended: bool = False

    def describe(self) -> str:
        mark = "# if QEMU has ended: " if self.if_ended else ""
        return "\n".join(
            f"{mark}{shlex.join(command)}" for command in self.commands
        )

    async def do(self, hands: Hands) -> None:
        if self.if_ended and await hands.runs():
            return
        for command in self.commands:
            await run_tool(command)


class DropTag(Step, frozen=True, tag=True):
    """Delete an internal snapshot from images.  It can't be undone.

    :param devices: their nodes, where a running QEMU has them open
    :param images: the images, for when no QEMU has
    """

    job_id: str
    tag: str
    devices: tuple[str, ...]
    images: tuple[TagImage, ...]

    def describe(self) -> str:
        if self.devices:
            return self._job.describe()
        return "\n".join(shlex.join(image.drop) for image in self.images)

    @property
    def _job(self) -> Job:
        arguments = {"tag": self.tag, "devices": list(self.devices)}
        return Job("snapshot-delete", self.job_id, arguments)

    async def do(self, hands: Hands) -> None:
        if self.devices and await hands.runs():
            await hands.run_job(self._job)
            return
        for image in self.images:
            await image.undo(hands)


class Continue(Step, frozen=True, tag=True):
    """Let the guest's CPUs run, if there is a QEMU."""

    def describe(self) -> str:
        return 'qmp {"execute": "cont"}'

    async def do(self, hands: Hands) -> None:
        if not await hands.runs():
            return
        try:
            await hands.execute("cont", {})
        except (ConnectionLostError, StateError):
            # It may die at any moment, and takes some to be gone.
            for _ in range(_GONE_POLLS):
                if not await hands.runs():
                    return
                await asyncio.sleep(_GONE_POLL_S)
            raise


async def _end(hands: Hands) -> None:
    """End a QEMU whose guest must not run on, by force if need be."""
    try:
        await hands.quit()
    except QemuCliError:
        await hands.kill()
