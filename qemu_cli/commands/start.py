"""qemu start."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli.command import Result, VMCommand

if TYPE_CHECKING:
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.session import Session


class Start(VMCommand):
    """Start VMs; returns when QEMU answers, not when the guest has booted."""

    examples = (
        "qemu start web",
        "qemu start 'web*'",
        "qemu start web --dry-run  # print QEMU's command line",
    )
    needs = frozenset({"definition"})

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--paused",
            action="store_true",
            help="do not run the guest yet; 'qemu resume' does",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only print what would be done, ready to paste",
        )
        return parser

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import start

        host = self.app.host
        if args.dry_run:
            plan = await start.plan_start(
                host, vm.paths, vm.definition, paused=args.paused
            )
            for line in plan.describe():
                self.app.stdout.write(f"{line}\n")
            return Result("")
        started = await start.start(host, vm, paused=args.paused)
        assert started.vm.process is not None  # noqa: S101
        pid = started.vm.process.pid
        how = "paused" if args.paused else "started"
        return Result(f"{how} (pid {pid})", {"state": how, "pid": pid})
