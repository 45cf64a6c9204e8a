"""qemu save."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli.command import Result, VMCommand
from qemu_cli.units import format_size

if TYPE_CHECKING:
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.session import Session


class Save(VMCommand):
    """Write the memory of VMs to files and end QEMU.

    'qemu start' goes on from there, and the guest has noticed nothing but
    the time.  Until then its disks must stay as they are.  Ctrl-C cancels:
    the VM runs on.
    """

    examples = ("qemu save web", "qemu save --all --state running")
    needs = frozenset({"definition", "process"})

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only print what would be done",
        )
        return parser

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import saved

        host = self.app.host_of(vm)
        if args.dry_run:
            plan = await saved.plan_save(host, vm)
            for line in plan.describe():
                self.app.stdout.write(f"{line}\n")
            return Result("")
        done = await saved.save(host, vm)
        seconds = round(done.seconds, 1)
        return Result(
            f"saved {format_size(done.size_bytes)} in {seconds:g} s",
            {"size_bytes": done.size_bytes, "seconds": seconds},
        )
