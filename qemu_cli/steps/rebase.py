"""The step that copies what an image stands on into it."""

import shlex

from qemu_cli.errors import ToolError
from qemu_cli.steps.base import Hands, Step
from qemu_cli.steps.tool import run_tool


class Rebase(Step, frozen=True, tag=True):
    """Put an image on what is further down, or on nothing (qemu-img rebase).

    All that differs is copied into it first, and its header says so last:
    killed in the middle, it is an image that is larger than it need be.
    It can't be taken back, and to do it twice is harmless.
    """

    argv: tuple[str, ...]

    def describe(self) -> str:
        return shlex.join(self.argv)

    async def do(self, hands: Hands) -> None:
        await run_tool(self.argv)

    async def is_done(self, hands: Hands) -> bool:
        # Nobody noted how far it came, and what it stood on is to go.
        try:
            await self.do(hands)
        except ToolError:
            return False
        return True
