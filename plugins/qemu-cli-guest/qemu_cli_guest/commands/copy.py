"""qemu cp."""

import argparse
from pathlib import Path

from qemu_cli.command import Command
from qemu_cli.errors import UsageError
from qemu_cli.units import format_size


class Copy(Command):
    """Copy files or directories into a guest, or out of it.

    One side is NAME:PATH, in a guest; the other a path on this host.  If
    the target is a directory, the copy goes into it.  Modes and symbolic
    links are kept, owners and times are not.  What is interrupted leaves
    the target as it was: a file gets its name when it is complete.  Where
    no agent runs, ssh and tar are used if the guest has them.
    """

    examples = (
        "qemu cp site.tar web:/srv/",
        "qemu cp web:/var/log ./web-log",
        "qemu cp --checksum disk.img web:/root/disk.img",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("source", metavar="SRC", help="what to copy")
        parser.add_argument("target", metavar="DST", help="where to")
        parser.add_argument(
            "--checksum",
            action="store_true",
            help="compare SHA-256 of both sides afterwards",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli_guest import copy, fallback

        source = copy.place(parsed_args.source)
        target = copy.place(parsed_args.target)
        if (source.name is None) == (target.name is None):
            raise UsageError(
                "one of SRC and DST must be NAME:PATH, the other a path here",
                hint="./a:b is the file 'a:b' of this host",
            )
        vm = resolve.anyone(self.app.host, source.name or target.name or "")
        host = self.app.host_of(vm)
        if target.name:
            work = fallback.into_guest(
                *(host, vm, Path(source.path), target.path),
                checksum=parsed_args.checksum,
            )
        else:
            work = fallback.out_of_guest(
                *(host, vm, source.path, Path(target.path)),
                checksum=parsed_args.checksum,
            )
        done = loop.run(work)
        files = "1 file" if done.files == 1 else f"{done.files} files"
        self.app.ui.say(
            f"{vm.name}: {files} ({format_size(done.size_bytes)}) copied to "
            f"{done.to}"
        )
