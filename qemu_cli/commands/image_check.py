"""qemu image check, compare and map."""

import argparse

from qemu_cli.columns import Size, plain
from qemu_cli.command import Lister, ShowOne
from qemu_cli.command.display import Table
from qemu_cli.command.image import Row, add_image, add_trust, users
from qemu_cli.units import format_size


class ImageCheck(ShowOne):
    """Look for errors in an image's tables; --repair mends them.

    Leaks only waste space; a damaged image has lost data, or is about to.
    The exit code is 1 when the image is damaged.  Only what nobody has open
    and nobody is built on can be mended.
    """

    examples = (
        "qemu image check disk.qcow2",
        "qemu image check disk.qcow2 --repair leaks",
    )

    table_columns = (
        *("file", "format", "verdict", "errors", "corruptions", "leaks"),
        *("corruptions_fixed", "leaks_fixed", "used_by", "open_by"),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_image(parser)
        parser.add_argument(
            "--repair",
            choices=("leaks", "all"),
            help="give back what leaked; 'all' mends whatever can be",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        super().run(parsed_args)
        return self._code

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        from qemu_cli.command import loop
        from qemu_cli.instance.images import work

        ui = self.app.ui
        subject, health = loop.run(
            work.check(
                self.app.host,
                parsed_args.file,
                format=parsed_args.image_format,
                repair=parsed_args.repair,
            )
        )
        self._code = int(health.verdict == "damaged")
        written = any(holder.writes for holder in subject.open_by)
        if written:
            ui.warn(
                f"{subject.path} is being written to: what looks like a leak"
                " or an error may be none"
            )
        elif health.verdict != "ok" and not parsed_args.repair:
            what = "leaks" if health.verdict == "leaks" else "all"
            ui.advise(
                "image-check",
                f"qemu image check {parsed_args.file} --repair {what}",
            )
        row = {
            "file": subject.image.path,
            "format": subject.image.format,
            "verdict": health.verdict,
            **plain(health),
            **users(subject),
        }
        return list(row), list(row.values())


class ImageCompare(ShowOne):
    """Compare what two images read as, with all that they stand on.

    Formats do not matter, nor what is behind the end of the smaller one
    if that is zeros.  The exit code is 1 when they differ.
    """

    examples = (
        "qemu image compare disk.qcow2 backup.raw",
        "qemu image compare a.raw b.raw --image-format raw",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_image(parser)
        add_image(parser, "other", "--other-format", "the other image")
        add_trust(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        super().run(parsed_args)
        return self._code

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        from qemu_cli.command import loop
        from qemu_cli.instance.images import work

        args = parsed_args
        found = loop.run(
            work.compare(
                self.app.host,
                args.file,
                args.other,
                formats=(args.image_format, args.other_format),
                trusted=args.trust_image,
            )
        )
        differ = found.difference_bytes is not None
        self._code = int(differ)
        row = {
            "file": found.first.image.path,
            "other": found.second.image.path,
            "same": not differ,
            "difference_bytes": found.difference_bytes,
            "file_size_bytes": Size(found.first.image.virtual_size_bytes),
            "other_size_bytes": Size(found.second.image.virtual_size_bytes),
        }
        return list(row), list(row.values())


class ImageMap(Lister):
    """Show in which layer the parts of an image are, and where.

    A part that is data is in the layer's file; one that is zero takes no
    room there; and where there is nothing nobody has ever written.
    """

    examples = (
        "qemu image map disk.qcow2",
        "qemu image map disk.qcow2 -f json",
    )
    table_columns = ("start_bytes", "length_bytes", "kind", "file")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_image(parser)
        add_trust(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        from qemu_cli.command import loop
        from qemu_cli.instance.images import work

        args = parsed_args
        found = loop.run(
            work.map(
                self.app.host,
                args.file,
                format=args.image_format,
                trusted=args.trust_image,
            )
        )
        for holder in found.subject.open_by:
            if holder.writes:
                self.app.ui.warn(
                    f"{found.subject.path} is being written to by {holder}:"
                    " this is how it was a moment ago"
                )
        self.app.ui.detail(
            ", ".join(
                f"{kind}: {format_size(size)}"
                for kind, size in found.totals.items()
            )
        )
        names = (
            *("start_bytes", "length_bytes", "kind"),
            *("depth", "file", "offset_bytes"),
        )
        return names, [
            (
                part.start_bytes,
                Size(part.length_bytes),
                part.kind,
                part.depth,
                found.file_of(part),
                part.offset_bytes,
            )
            for part in found.extents
        ]
