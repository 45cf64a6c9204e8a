"""qemu autostart enable and disable."""

import argparse
import os
from typing import TYPE_CHECKING

from qemu_cli.command import Result, VMCommand

if TYPE_CHECKING:
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.session import Session


class AutostartEnable(VMCommand):
    """Have systemd start VMs with the host, and shut them down.

    Writes a unit and links it.  What runs now is left alone.  VMs that you
    start by hand do not belong to the unit: start one with
    'systemctl start qemu-NAME' to have it shut down with the host.
    """

    examples = (
        "qemu autostart enable web",
        "qemu autostart enable web --user --dry-run  # print the unit",
    )
    needs = frozenset({"definition"})

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        scope = parser.add_mutually_exclusive_group()
        scope.add_argument(
            "--user",
            action="store_true",
            help="a unit of your own systemd (default, but for root)",
        )
        scope.add_argument(
            "--system",
            action="store_true",
            help="a unit of the host, run as you (default for root)",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only print what would be written",
        )
        return parser

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import autostart

        host = self.app.host_of(vm)
        system = args.system or (os.geteuid() == 0 and not args.user)
        unit = autostart.plan(host, vm.paths, system=system)
        if args.dry_run:
            file = autostart.file_of(vm.paths, system=system)
            self.app.stdout.write(f"# {file}\n")
            self.app.stdout.write(unit.text())
            return Result("")
        done = await autostart.enable(host, vm.paths, unit)
        for hint in done.hints:
            self.app.ui.advise("autostart", hint)
        return Result(f"enabled ({done.file})", {"unit": str(done.file)})


class AutostartDisable(VMCommand):
    """No longer have systemd start VMs; what runs is left alone."""

    examples = ("qemu autostart disable web",)
    needs = frozenset({"definition"})

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import autostart

        removed = await autostart.disable(self.app.host_of(vm), vm.paths)
        names = ", ".join(map(str, removed))
        return Result(
            f"disabled ({names})", {"units": [str(file) for file in removed]}
        )
