"""qemu disk move, flatten and commit: where a disk's content is."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.command.planned import PlannedDisk

if TYPE_CHECKING:
    from qemu_cli.instance.disks.done import Done
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM


class DiskMove(PlannedDisk):
    """Move a disk into another file, while the VM runs or not.

    TARGET may be on another file system.  What the disk stands on stays
    where it is, and is still needed, unless --flatten copies it, too.
    The old file is removed if it is in the VM's directory.
    """

    examples = (
        "qemu disk move web disk0 /srv/fast/web.qcow2",
        "qemu disk move web disk0 /srv/fast/ --flatten --to raw",
        "qemu disk move web disk0 /srv/fast/ --detach; qemu job wait web",
    )
    instances_because = "layer"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "target",
            metavar="TARGET",
            type=Path,
            help="a new file, or the directory for it",
        )
        parser.add_argument(
            "--to",
            dest="image_format",
            metavar="FORMAT",
            choices=("qcow2", "raw"),
            help="the format of the new file: qcow2 or raw (default: that of "
            "the old one)",
        )
        parser.add_argument(
            "--flatten",
            action="store_true",
            help="copy all that it stands on, so that it stands alone",
        )
        parser.add_argument(
            "--keep", action="store_true", help="leave the old file there"
        )
        _add_detach(parser)
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.disks.move import Wish, move

        wish = Wish(
            args.target,
            format=args.image_format,
            flatten=args.flatten,
            keep=args.keep,
        )
        return await move(
            host,
            vm,
            args.disk,
            wish,
            detach=args.detach,
            dry_run=args.dry_run,
        )


class DiskFlatten(PlannedDisk):
    """Copy all that a disk stands on into it, so that it stands alone.

    The files below it stay, and those that nothing needs any more are
    named; with --delete-files they are deleted, as far as they are in the
    VM's directory.
    """

    examples = (
        "qemu disk flatten web disk0",
        "qemu disk flatten web disk0 --detach; qemu job wait web",
    )
    instances_because = "images"
    asks = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--delete-files",
            action="store_true",
            help="delete what nothing needs any more; asks",
        )
        _add_detach(parser)
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.disks.flatten import flatten

        return await flatten(
            host,
            vm,
            args.disk,
            delete_files=args.delete_files,
            confirm=self.confirm(args),
            detach=args.detach,
            dry_run=args.dry_run,
        )


class DiskCommit(PlannedDisk):
    """Write a disk's active layer into its backing file.

    That makes a chain one layer shorter.  It asks: what the backing file
    held before is gone.  One that is not in the VM's directory, or that
    others or snapshots need, is not touched.
    """

    examples = ("qemu disk commit web disk0",)
    instances_because = "layer"
    asks = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_detach(parser)
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.disks.commit import commit

        return await commit(
            host,
            vm,
            args.disk,
            confirm=self.confirm(args),
            detach=args.detach,
            dry_run=args.dry_run,
        )


def _add_detach(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--detach",
        action="store_true",
        help="of a running VM: leave it to QEMU; 'qemu job wait' waits for "
        "it and does the rest",
    )
