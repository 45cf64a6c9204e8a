"""qemu guest."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli.command import Result, VMCommand

if TYPE_CHECKING:
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.session import Session


class GuestThaw(VMCommand):
    """Let guests write again whose file systems are frozen.

    What freezes them, such as --quiesce, thaws them too.  This is for what
    another program left frozen; a guest that is not is left as it is.
    """

    examples = ("qemu guest thaw web",)
    needs = frozenset({"definition", "process"})

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import quiesce

        count = await quiesce.thaw(self.app.host_of(vm), vm)
        many = "file system" if count == 1 else "file systems"
        return Result(
            f"{count} {many} thawed" if count else "was not frozen",
            {"thawed": count},
        )
