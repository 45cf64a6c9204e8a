"""The steps that take snapshots: internal ones, and overlays.

What a snapshot is of are images; who has them open is asked of the world
each time: between the deed and its undoing a QEMU may have died.
(qapi/migration.json, qapi/transaction.json; qemu-img(1))
"""

import asyncio
import json
import shlex
from pathlib import Path
from typing import Any

from qemu_cli.errors import ConnectionLostError, QemuCliError
from qemu_cli.steps.base import Hands, Step
from qemu_cli.steps.job import Job
from qemu_cli.steps.nodes import file_of, stands_on_another
from qemu_cli.steps.tool import run_tool

#: What qemu-img check exits with: whatever it finds is no reason to stop.
_CHECKED = range(64)

#: How long a QEMU that has closed its monitor may take to end.
_END_S = 1.0


class TagImage(Step, frozen=True, tag=True):
    """Take an internal snapshot of an image that no QEMU has open.

    :param look: the command that tells the image's snapshots
    :param make: the one that takes it
    :param drop: the one that deletes it
    :param mend: the one that gives back what a crash has leaked
    """

    tag: str
    file: str
    look: tuple[str, ...]
    make: tuple[str, ...]
    drop: tuple[str, ...]
    mend: tuple[str, ...]

    def describe(self) -> str:
        return shlex.join(self.make)

    async def do(self, hands: Hands) -> None:
        if not await self.is_done(hands):
            await run_tool(self.make)

    async def undo(self, hands: Hands) -> None:
        if await self.is_done(hands):
            await run_tool(self.drop)
        await run_tool(self.mend, good=_CHECKED)

    async def is_done(self, hands: Hands) -> bool:
        image = json.loads(await run_tool(self.look))
        snapshots = image.get("snapshots", ())
        return any(each["name"] == self.tag for each in snapshots)


class SaveSnapshot(Step, frozen=True, tag=True):
    """Take an internal snapshot of a running VM, with its RAM.

    QEMU stands still meanwhile, and can't be asked to stop.

    :param job_id: of the job
    :param vmstate: the block node that gets the RAM
    :param nodes: all block nodes that take part
    :param images: the same, for when no QEMU has them open any more; empty:
        they are not ours, and left alone then
    """

    job_id: str
    tag: str
    vmstate: str
    nodes: tuple[str, ...]
    images: tuple[TagImage, ...]

    def describe(self) -> str:
        return self._job.describe()

    @property
    def _job(self) -> Job:
        arguments = {
            "tag": self.tag,
            "vmstate": self.vmstate,
            "devices": list(self.nodes),
        }
        return Job("snapshot-save", self.job_id, arguments)

    async def do(self, hands: Hands) -> None:
        await hands.run_job(self._job)

    async def undo(self, hands: Hands) -> None:
        if not await hands.runs():
            for image in self.images:
                await image.undo(hands)
            return
        await hands.cancel_job(self.job_id)
        tagged = await self._tagged(hands)
        if tagged:
            arguments = {"tag": self.tag, "devices": sorted(tagged.values())}
            undo = Job("snapshot-delete", f"{self.job_id}-undo", arguments)
            await hands.run_job(undo)

    async def is_done(self, hands: Hands) -> bool:
        if not await hands.runs():
            for image in self.images:
                if not await image.is_done(hands):
                    return False
            return True
        # One that still goes on is waited for: it can't be cancelled.
        await hands.cancel_job(self.job_id)
        tagged = await self._tagged(hands)
        files = [image.file for image in self.images]
        return all(each in tagged for each in files or self.nodes)

    async def _tagged(self, hands: Hands) -> dict[str, str]:
        """The images that have the tag, and the nodes that they are.

        Those that are not ours are called by their nodes.
        """
        found = {}
        nodes = await hands.execute("query-named-block-nodes", {"flat": True})
        for node in nodes:
            snapshots = node["image"].get("snapshots", ())
            if any(each["name"] == self.tag for each in snapshots):
                name = str(node["node-name"])
                if not self.images and name in self.nodes:
                    found[name] = name
                for image in self.images:
                    if _same(file_of(node), image.file):
                        found[image.file] = name
        return found


class PutOverlays(Step, frozen=True, tag=True):
    """Put overlays on nodes, on all at one moment.

    The definition says already that the overlays are the disks.  As long
    as they are empty they read as what they stand on: so a QEMU that dies
    here is no matter, whether the guest wrote to them or not.

    :param overlays: of each the node that it stands on, its own node, and
        its file
    """

    overlays: tuple[tuple[str, str, str], ...]

    def describe(self) -> str:
        message = {"execute": "transaction", "arguments": self._arguments}
        return f"qmp {json.dumps(message)}"

    @property
    def _arguments(self) -> dict[str, Any]:
        return {
            "actions": [
                {
                    "type": "blockdev-snapshot",
                    "data": {"node": node, "overlay": overlay},
                }
                for node, overlay, _ in self.overlays
            ]
        }

    async def do(self, hands: Hands) -> None:
        if await self.is_done(hands):
            return
        try:
            await hands.execute("transaction", self._arguments)
        except ConnectionLostError:
            await asyncio.sleep(_END_S)
            if await hands.runs():
                raise

    async def undo(self, hands: Hands) -> None:
        if await hands.runs() and await self.is_done(hands):
            raise QemuCliError(
                "the guest writes to the new overlays already, and they "
                "can't be taken from it"
            )

    async def is_done(self, hands: Hands) -> bool:
        if not await hands.runs():
            return True
        nodes = await hands.execute("query-named-block-nodes", {"flat": True})
        standing = [file_of(node) for node in nodes if stands_on_another(node)]
        return all(
            any(_same(name, file) for name in standing)
            for _, _, file in self.overlays
        )


def _same(name: str, file: str) -> bool:
    try:
        return Path(name).samefile(file)
    except OSError:
        return False
