"""qemu image create, convert and info."""

import argparse
from pathlib import Path

from qemu_cli.command import ShowOne
from qemu_cli.command.image import (
    Row,
    add_image,
    add_new_format,
    add_trust,
    chain,
    facts,
    formats,
    made,
    new_format,
    users,
)
from qemu_cli.units import parse_size


class ImageCreate(ShowOne):
    """Make an empty image, or with --backing an overlay on another.

    Nothing is overwritten.  What is made is printed.
    """

    examples = (
        "qemu image create data.qcow2 20G",
        "qemu image create data.raw 20G",
        "qemu image create try.qcow2 --backing debian-13.qcow2",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="FILE", type=Path, help="to make")
        parser.add_argument(
            "size",
            metavar="SIZE",
            nargs="?",
            help="what a guest sees, as in 20G; for an overlay, that of its "
            "base by default",
        )
        add_new_format(parser, "--image-format", "FILE")
        parser.add_argument(
            "--backing",
            metavar="FILE",
            type=Path,
            help="make an overlay: what is never written to it is read from "
            "this file, which must not change any more",
        )
        parser.add_argument(
            "--backing-format",
            metavar="FORMAT",
            choices=formats(),
            help="the format of that file",
        )
        add_trust(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        from qemu_cli.command import loop
        from qemu_cli.instance.images import work

        args = parsed_args
        image = loop.run(
            work.create(
                self.app.host,
                args.file,
                format=new_format(args, args.file),
                size_bytes=args.size and parse_size(args.size),
                backing=args.backing,
                backing_format=args.backing_format,
                trusted=args.trust_image,
            )
        )
        return made(image)


class ImageConvert(ShowOne):
    """Copy an image, with all that it stands on, into a new one.

    The new image stands alone.  Nothing is overwritten, and until the copy
    is complete there is no file of that name.  The disk of a running VM
    can't be copied so: 'qemu nbd-export' shows it as it is at one moment.
    """

    examples = (
        "qemu image convert disk.vmdk disk.qcow2",
        "qemu image convert disk.qcow2 /mnt/disk.img --to raw",
        "qemu image convert disk.qcow2 small.qcow2 --compress",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_image(parser, "source", help="what to copy")
        parser.add_argument(
            "target", metavar="TARGET", type=Path, help="to make"
        )
        add_new_format(parser, "--to", "TARGET")
        parser.add_argument(
            "--compress",
            action="store_true",
            help="compress it: smaller, and slower to read",
        )
        add_trust(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        from qemu_cli.command import loop
        from qemu_cli.instance.images import work

        args = parsed_args
        image = loop.run(
            work.convert(
                self.app.host,
                args.source,
                args.target,
                to=new_format(args, args.target),
                format=args.image_format,
                compress=args.compress,
                trusted=args.trust_image,
            )
        )
        return made(image)


class ImageInfo(ShowOne):
    """Show what is known about an image, and who uses it.

    That is its backing chain, its internal snapshots and its bitmaps, the
    instances that need it, and the programs that have it open.  Works on
    the disk of a running VM, too.
    """

    examples = (
        "qemu image info disk.qcow2",
        "qemu image info disk.qcow2 --columns chain,used_by",
        "qemu image info disk.qcow2 -f json",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_image(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        from qemu_cli.command import loop
        from qemu_cli.instance.images import work

        host = self.app.host
        subject, layers = loop.run(
            work.info(host, parsed_args.file, format=parsed_args.image_format)
        )
        row = {
            **facts(subject.image),
            "chain": chain(layers),
            **users(subject),
        }
        return list(row), list(row.values())
