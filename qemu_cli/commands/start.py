"""qemu start."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qemu_cli.command import Result, VMCommand
from qemu_cli.errors import UsageError

if TYPE_CHECKING:
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.session import Session


class Start(VMCommand):
    """Start VMs; returns when QEMU answers, not when the guest is up.

    A guest that 'qemu save' saved goes on where it was.
    """

    examples = (
        "qemu start web",
        "qemu start 'web*'",
        "qemu start web --console",
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
            "--discard-saved",
            action="store_true",
            help="boot, and throw away what 'qemu save' saved",
        )
        parser.add_argument(
            "-y",
            "--yes",
            action="store_true",
            help="do not ask about --discard-saved",
        )
        parser.add_argument(
            "--console",
            action="store_true",
            help="attach to the serial console at once; Ctrl-] leaves",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only print what would be done, ready to paste",
        )
        return parser

    def select(self, args: argparse.Namespace) -> "Sequence[VM]":
        vms = super().select(args)
        if args.console and len(vms) != 1:
            raise UsageError(
                f"--console is for one VM, and these are {len(vms)}"
            )
        args.first = vms[0].name if vms else None
        if args.discard_saved and not args.dry_run:
            from qemu_cli.instance import saved

            found = [f"'{vm.name}'" for vm in vms if saved.exists(vm.paths)]
            if found:
                self.app.ui.confirm(
                    f"throw away what was saved of {', '.join(found)}",
                    args.yes,
                )
        return vms

    def run(self, parsed_args: argparse.Namespace) -> int:
        code = super().run(parsed_args)
        if parsed_args.console and code == 0 and not parsed_args.dry_run:
            from qemu_cli.command.console import attach
            from qemu_cli.instance.resolve import resolve

            host, name = self.app.host, parsed_args.first
            attach(self.app, resolve(host.paths, name, probe=host.probe))
        return code

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import start

        host = self.app.host_of(vm)
        if args.dry_run:
            plan = await start.plan_start(
                host,
                vm.paths,
                vm.definition,
                paused=args.paused,
                discard_saved=args.discard_saved,
            )
            for line in plan.describe():
                self.app.stdout.write(f"{line}\n")
            return Result("")
        started = await start.start(
            host, vm, paused=args.paused, discard_saved=args.discard_saved
        )
        assert started.vm.process is not None  # noqa: S101
        pid = started.vm.process.pid
        state = "paused" if started.vm.state == "paused" else "started"
        how = f"{state} where it was saved" if started.resumed else state
        return Result(
            f"{how} (pid {pid})",
            {"state": state, "pid": pid, "resumed": started.resumed},
        )
