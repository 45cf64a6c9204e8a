"""qemu snapshot delete."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli.command.planned import Planned

if TYPE_CHECKING:
    from qemu_cli.command.planned import Done
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM


class SnapshotDelete(Planned):
    """Delete snapshots of a VM.

    What later snapshots and today need of one is merged into them: the
    smaller part is written into the larger.  Says what goes, and asks.

    A layer stays where it is as long as a linked clone stands on it, or an
    internal snapshot of a layer above it reads from it.

    Without a snapshot, merges what an interrupted delete has left.
    """

    asks = True
    instances_because = None

    examples = (
        "qemu snapshot delete web before-upgrade",
        "qemu snapshot delete web s1 s2 --yes",
        "qemu snapshot delete web s1 --dry-run",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "snapshots", metavar="SNAP", nargs="*", help="a snapshot"
        )
        parser.add_argument(
            "--detach",
            action="store_true",
            help="leave the merge to QEMU; 'qemu job wait' finishes it",
        )
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        if vm.foreign:
            from qemu_cli.instance.snapshots import strangers

            return await strangers.delete(
                host,
                vm,
                args.snapshots,
                confirm=self.confirm(args),
                dry_run=args.dry_run,
            )
        from qemu_cli.instance.snapshots.delete import delete

        return await delete(
            host,
            vm,
            args.snapshots,
            confirm=self.confirm(args),
            detach=args.detach,
            dry_run=args.dry_run,
        )
