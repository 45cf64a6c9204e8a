"""The step that deletes an internal snapshot, running or not."""

import json
import shlex
from pathlib import Path

import msgspec

from qemu_cli.steps.base import Hands, Step
from qemu_cli.steps.job import Job
from qemu_cli.steps.tool import run_tool


class Tagged(msgspec.Struct, frozen=True):
    """An image with an internal snapshot.

    :param look: the command that tells the image's snapshots
    :param drop: the one that deletes it
    """

    file: str
    look: tuple[str, ...]
    drop: tuple[str, ...]


class Untag(Step, frozen=True, tag=True):
    """Delete an internal snapshot from images.  It can't be undone.

    Images that lack it are left alone.

    :param job_id: of the job
    :param nodes: the images as block nodes, if QEMU has them open
    """

    tag: str
    job_id: str
    nodes: tuple[str, ...]
    images: tuple[Tagged, ...]

    def describe(self) -> str:
        if self.nodes:
            return self._job.describe()
        return "\n".join(shlex.join(image.drop) for image in self.images)

    @property
    def _job(self) -> Job:
        # QEMU has nothing against nodes that lack it.
        arguments = {"tag": self.tag, "devices": list(self.nodes)}
        return Job("snapshot-delete", self.job_id, arguments)

    async def do(self, hands: Hands) -> None:
        if self.nodes and await hands.runs():
            await hands.run_job(self._job)
            return
        # A QEMU that had them open has died: they are free now.
        for image in self.images:
            await self._drop(image)

    async def _drop(self, image: Tagged) -> None:
        if not Path(image.file).exists():
            return
        found = json.loads(await run_tool(image.look)).get("snapshots", ())
        for each in found:  # qemu-img lets several have one name
            if each["name"] == self.tag:
                await run_tool(image.drop)
