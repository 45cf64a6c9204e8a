"""qemu snapshot diff."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qemu_cli.columns import Size
from qemu_cli.command import Lister
from qemu_cli.command.display import Table
from qemu_cli.units import format_size

if TYPE_CHECKING:
    from qemu_cli.instance.snapshots.diff import Difference

_RANGES = ("disk", "start_bytes", "length_bytes", "how")
_TOTALS = ("disk", "ranges", "differing_bytes", "size_bytes", "how")


class SnapshotDiff(Lister):
    """Show where disks differ between two snapshots, or one and now.

    What is between two external snapshots is known from their layers, at
    once: it says where something was written, be it the same again.  For
    an internal one the disks are read and compared, which takes as long as
    there is data on them; --content does that in any case.

    It may be asked while the VM runs; now is then a moving target.
    """

    examples = (
        "qemu snapshot diff web before-upgrade",
        "qemu snapshot diff web monday tuesday --total",
        "qemu snapshot diff web monday --content -f json",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument("snapshot", metavar="A", help="a snapshot")
        parser.add_argument(
            "other", metavar="B", nargs="?", help="another one (default: now)"
        )
        parser.add_argument(
            "--total", action="store_true", help="only one line a disk"
        )
        parser.add_argument(
            "--content",
            action="store_true",
            help="compare what is there, also where the layers could tell",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        from qemu_cli.command import loop
        from qemu_cli.instance.resolve import resolve
        from qemu_cli.instance.snapshots.diff import diff

        columns = _TOTALS if parsed_args.total else _RANGES
        self.chosen(parsed_args, columns)
        host = self.app.host
        vm = resolve(
            host.paths, parsed_args.name, probe=host.probe, why="tree"
        )
        found = loop.run(
            diff(
                self.app.host_of(vm),
                vm,
                parsed_args.snapshot,
                parsed_args.other,
                content=parsed_args.content,
            )
        )
        if parsed_args.total:
            return columns, [_total(each) for each in found]
        for each in found:
            self.app.ui.say(_told(each))
        return columns, [row for each in found for row in _ranges(each)]


def _total(found: "Difference") -> Sequence[Any]:
    return (
        found.disk,
        len(found.ranges),
        Size(found.differing_bytes),
        Size(found.size_bytes),
        found.how,
    )


def _ranges(found: "Difference") -> list[Sequence[Any]]:
    return [
        (found.disk, start_bytes, Size(length_bytes), found.how)
        for start_bytes, length_bytes in found.ranges
    ]


def _told(found: "Difference") -> str:
    what = "was written" if found.how == "extents" else "differs"
    count = len(found.ranges)
    plural = "" if count == 1 else "s"
    return (
        f"{found.disk}: {format_size(found.differing_bytes)} of "
        f"{format_size(found.size_bytes)} {what}, in {count} range{plural}"
    )
