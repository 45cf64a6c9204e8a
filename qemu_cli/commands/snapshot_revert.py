"""qemu snapshot revert."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli import settings
from qemu_cli.command.planned import Planned

if TYPE_CHECKING:
    from qemu_cli.command.planned import Done
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM


class SnapshotRevert(Planned):
    """Go back to a snapshot of a VM, running or stopped.

    With RAM, the guest goes on from there, in the QEMU that runs or in a
    new one.  Without, a running QEMU is ended, and the disks are as they
    were: 'qemu start' boots from them.

    What was changed since is lost: says what, and asks, unless --stash
    keeps it as a snapshot, RAM and all; it asks in any case before it ends
    a QEMU that runs.  The definition is that of the snapshot, too.

    A VM that somebody else started goes back in the QEMU that runs, to a
    snapshot with RAM, or not at all.
    """

    asks = True
    instances_because = None

    examples = (
        "qemu snapshot revert web before-upgrade",
        "qemu snapshot revert web before-upgrade --start --yes",
        "qemu snapshot revert web s1 --stash today",
        "qemu snapshot revert web s1 --dry-run",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("snapshot", metavar="SNAP", help="a snapshot")
        parser.add_argument(
            "--stash",
            metavar="NEW",
            nargs="?",
            const="",
            help="keep today as a snapshot first (default name: s1, s2 …)",
        )
        parser.add_argument(
            "--start",
            action="store_true",
            help="boot the guest if it does not go on",
        )
        parser.add_argument(
            "--no-ram",
            action="store_true",
            help="go back to the disks alone, as after a power cut",
        )
        parser.add_argument(
            "--owner-knows",
            action="store_true",
            help="of a VM that somebody else started: it fits to the "
            "machine, though another QEMU took it",
        )
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.command import freeze
        from qemu_cli.instance.snapshots.revert import Wanted, revert

        wanted = Wanted(
            name=args.snapshot,
            ram=not args.no_ram,
            start=args.start,
            stash=args.stash is not None,
            stash_name=args.stash or None,
        )
        if vm.foreign:
            from qemu_cli.instance.snapshots import strangers_revert

            return await strangers_revert.revert(
                host,
                vm,
                wanted,
                owner_knows=args.owner_knows,
                confirm=self.confirm(args),
                dry_run=args.dry_run,
            )
        return await revert(
            host,
            vm,
            wanted,
            confirm=self.confirm(args),
            consent=freeze.consent(
                self.app.ui,
                vm.name,
                host.config[settings.SNAPSHOT_MAX_FREEZE],
                yes=args.yes,
                instead=f"'qemu snapshot create {vm.name} --external --ram' "
                "keeps today in another way, and can be cancelled",
            ),
            dry_run=args.dry_run,
        )
