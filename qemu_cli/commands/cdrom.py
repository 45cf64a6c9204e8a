"""qemu cdrom."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.command.planned import Planned

if TYPE_CHECKING:
    from qemu_cli.instance.disks.done import Done
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM


class CdromInsert(Planned):
    """Put a CD into a drive, in place of what is in there.

    At once if the VM runs, and for later starts as well.
    """

    examples = ("qemu cdrom insert web debian-13.iso",)
    instances_because = "machine"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="ISO", type=Path, help="an image")
        _add_drive(parser)
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.disks.medium import change_medium

        return await change_medium(
            host,
            vm,
            args.file,
            drive=args.drive,
            force=args.force,
            dry_run=args.dry_run,
        )


class CdromEject(Planned):
    """Take a CD out of its drive.

    A guest that has mounted it locks the drive; --force takes it out all
    the same.
    """

    examples = ("qemu cdrom eject web", "qemu cdrom eject web --force")
    instances_because = "machine"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _add_drive(parser)
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.disks.medium import change_medium

        return await change_medium(
            host,
            vm,
            None,
            drive=args.drive,
            force=args.force,
            dry_run=args.dry_run,
        )


def _add_drive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--drive",
        metavar="ID",
        help="such as cdrom1 (default: the only one that there is)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="also when the guest has locked the drive",
    )
