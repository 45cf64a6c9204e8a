"""The steps that are jobs: what QEMU does in the background.

A job that moves a disk elsewhere is two or three steps: :class:`Job` until
it is ``ready`` or ``pending``, then the definition is written, and then
:class:`OrderJob` lets it finish.  (qapi/job.json)
"""

import json
from typing import Any

import msgspec

from qemu_cli.steps.base import Hands, Step


class Job(Step, frozen=True, tag=True):
    """Start a job and wait until it has come somewhere.

    A job of that id that is there already is not started again.

    :param until: ``ready``, ``pending`` or ``concluded`` (QAPI JobStatus);
        one that has concluded is dismissed
    """

    command: str
    job_id: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    until: str = "concluded"

    def describe(self) -> str:
        arguments = {"job-id": self.job_id, **self.arguments}
        message = {"execute": self.command, "arguments": arguments}
        return f"qmp {json.dumps(message)} # wait until {self.until}"

    async def do(self, hands: Hands) -> None:
        await hands.run_job(self)

    async def undo(self, hands: Hands) -> None:
        # With its QEMU, the job is gone as well.
        if await hands.runs():
            await hands.cancel_job(self.job_id)

    async def start(self, hands: Hands) -> None:
        """Start it, and don't wait: what ``--detach`` does."""
        await hands.start_job(self)

    async def under_way(self, hands: Hands) -> bool:
        """Tell whether it has not come there yet."""
        return await hands.job_goes_on(self)


class OrderJob(Step, frozen=True, tag=True):
    """Give a job its next order, and wait for what comes of it.

    A job that is to conclude, and is not there any more, has done so.

    :param command: ``job-complete`` or ``job-finalize``
    """

    command: str
    job_id: str
    until: str = "concluded"

    def describe(self) -> str:
        message = {"execute": self.command, "arguments": {"id": self.job_id}}
        return f"qmp {json.dumps(message)} # wait until {self.until}"

    async def do(self, hands: Hands) -> None:
        await hands.order_job(self)
