"""qemu delete."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qemu_cli.command import Result, VMCommand
from qemu_cli.units import format_size

if TYPE_CHECKING:
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.session import Session


class Delete(VMCommand):
    """Delete stopped VMs with all that is in their directories.

    Says what goes, and asks.  Files outside of a VM's directory, such as
    the image it was made from, are never touched.  Clones go before what
    they were cloned from.
    """

    in_turn = True

    examples = ("qemu delete web", "qemu delete web --yes")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "-y", "--yes", action="store_true", help="do not ask"
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only print what would be done",
        )
        return parser

    def select(self, args: argparse.Namespace) -> "Sequence[VM]":
        from qemu_cli.command import loop
        from qemu_cli.instance import delete, needs

        vms = super().select(args)
        for vm in vms:
            delete.check_deletable(vm)
        if len(vms) > 1:
            vms = loop.run(delete.in_order(self.app.host, vms))
        elif vms:  # not only when the person has said yes
            loop.run(delete.check_unneeded(self.app.host, vms[0].paths))
        if args.dry_run or not vms:
            return vms
        for vm in vms:
            self.app.ui.say(f"{vm.paths.directory}:")
            for file in needs.own(vm.paths):
                size = format_size(file.stat().st_size)
                name = file.relative_to(vm.paths.directory)
                self.app.ui.say(f"  {name} ({size})")
        what = ", ".join(f"'{vm.name}'" for vm in vms)
        self.app.ui.confirm(f"delete {what} with these files", args.yes)
        return vms

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import delete

        if args.dry_run:
            for line in delete.plan_delete(vm.paths).describe():
                self.app.stdout.write(f"{line}\n")
            return Result("")
        await delete.delete(self.app.host_of(vm), vm)
        return Result("deleted")
