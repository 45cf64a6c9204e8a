"""qemu share."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli.command import Lister
from qemu_cli.command.display import Table
from qemu_cli.command.planned import Planned

if TYPE_CHECKING:
    from qemu_cli.instance.disks.done import Done
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM


class ShareList(Lister):
    """List the directories of this host that a guest can mount.

    With what to type in the guest.  Without a name, those of all VMs.
    """

    examples = ("qemu share list", "qemu share list web -f json")
    table_columns = (
        *("vm", "tag", "directory", "driver", "read_only", "mount"),
        "problem",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("names", nargs="*", metavar="NAME", help="a VM")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        from qemu_cli.instance import resolve
        from qemu_cli.instance.shares.rows import Row, rows

        columns = Row._fields
        self.chosen(parsed_args, columns)
        host, names = self.app.host, parsed_args.names
        vms = resolve.select(
            *(host.paths, names), probe=host.probe, every=not names
        )
        return columns, rows(vms, self.app.ui.warn)


class ShareAdd(Planned):
    """Share a directory of this host with a guest.

    From the next start on: QEMU takes no directory while it runs.  The
    driver is virtiofs where this host has a virtiofsd that you can run,
    else 9p, which is slower; 'share list' tells how the guest mounts it.
    """

    examples = (
        "qemu share add web ~/src",
        "qemu share add web ~/src:code,ro",
        "qemu share add web /srv/data --driver 9p",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "share",
            metavar="DIR[:TAG][,ro]",
            help="the directory, the name by which the guest mounts it, and "
            "whether it may only read",
        )
        parser.add_argument(
            "--driver",
            choices=("virtiofs", "9p"),
            help="not the one that is usual",
        )
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.shares import change
        from qemu_cli.instance.shares.wish import parse_share

        wish = parse_share(args.share, driver=args.driver)
        return await change.add(host, vm, wish, dry_run=args.dry_run)


class ShareRemove(Planned):
    """Share a directory no more, from the next start on."""

    examples = ("qemu share remove web src",)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "tag", metavar="TAG", help="as 'share list' has it"
        )
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.shares import change

        return await change.remove(host, vm, args.tag, dry_run=args.dry_run)
