"""qemu disk."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemu_cli.columns import Named, Names, Size, plain
from qemu_cli.command import Lister, ShowOne
from qemu_cli.command.display import Table
from qemu_cli.command.planned import Planned, PlannedDisk
from qemu_cli.command.wish import parse_disk
from qemu_cli.errors import UsageError
from qemu_cli.ui import printable
from qemu_cli.units import parse_duration, parse_size

if TYPE_CHECKING:
    from qemu_cli.instance.disks.chains import Chain, Layer
    from qemu_cli.instance.disks.done import Done
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM
    from qemu_cli.instance.wish import Mode

_COLUMNS = (
    *("disk", "kind", "bus", "slot", "depth", "file", "format"),
    *("virtual_size_bytes", "actual_size_bytes", "node", "read_only"),
    *("snapshots", "problem"),
)


class DiskList(Lister):
    """List the disks of a VM, each with its whole backing chain.

    A disk's first line is its active layer, which the guest writes to;
    the lines below it are what that stands on, one under the other.  Of
    a running VM, QEMU's node-names are shown.

    Disks of a VM that somebody else started are called by the id of their
    device or their -drive; without one QEMU makes up 'virtio0', 'ide0-hd0'.
    """

    examples = (
        "qemu disk list web",
        "qemu disk list web -f json",
        "qemu disk list web --columns disk,file,snapshots",
    )
    table_columns = (
        *("disk", "file", "format", "virtual_size_bytes"),
        *("actual_size_bytes", "node", "problem"),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.disks.chains import chains

        self.chosen(parsed_args, _COLUMNS)
        vm = resolve.anyone(self.app.host, parsed_args.name)
        found = loop.run(chains(self.app.host_of(vm), vm))
        here = vm.paths.directory
        return _COLUMNS, [row for each in found for row in _rows(each, here)]


class DiskInfo(ShowOne):
    """Show everything that is known about one disk."""

    examples = (
        "qemu disk info web disk0",
        "qemu disk info web disk0 -f json",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument("disk", metavar="DISK", help="such as disk0")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.disks.chains import chain

        vm = resolve.anyone(self.app.host, parsed_args.name)
        work = chain(self.app.host_of(vm), vm, parsed_args.disk)
        row = _details(loop.run(work))
        return list(row), list(row.values())


class DiskAdd(Planned):
    """Give a VM one more disk, at once if it runs.

    It is written down in the definition, with the place that it is
    plugged into.  An image that is given is not changed: the disk is an
    overlay on it, unless --copy or --in-place says otherwise.
    """

    examples = (
        "qemu disk add web 20G",
        "qemu disk add web data.qcow2 --in-place",
        "qemu disk add web 1T,bus=scsi,format=raw --next-start",
    )
    instances_because = "machine"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "what",
            metavar="SIZE|FILE[,KEY=VALUE…]",
            help="a new disk, or one from an image; keys: bus, format, cache,"
            " readonly, size",
        )
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--copy", action="store_true", help="copy the image")
        how.add_argument(
            "--in-place",
            action="store_true",
            help="write to the image itself",
        )
        parser.add_argument(
            "--trust-image",
            action="store_true",
            help="take an image that names other files of this host",
        )
        _add_next_start(parser)
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.disks.add import add

        mode: Mode = "overlay"
        if args.copy or args.in_place:
            mode = "copy" if args.copy else "in-place"
        return await add(
            host,
            vm,
            parse_disk(args.what, mode),
            trust_image=args.trust_image,
            next_start=args.next_start,
            dry_run=args.dry_run,
        )


class DiskRemove(PlannedDisk):
    """Take a disk from a VM, at once if it runs; its file stays.

    The guest of a running VM is asked to let go of it.  One that does not
    react keeps the disk, nothing is changed, and the exit code is 7.
    """

    examples = (
        "qemu disk remove web disk1",
        "qemu disk remove web disk1 --delete-file",
    )
    instances_because = "machine"
    asks = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--delete-file",
            action="store_true",
            help="delete its images, too: those in the VM's directory that "
            "nothing else needs; asks",
        )
        parser.add_argument(
            "--timeout",
            type=parse_duration,
            default=20.0,
            metavar="TIME",
            help="how long the guest may take to let go of it (default: 20s)",
        )
        _add_next_start(parser)
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.disks.remove import remove

        return await remove(
            host,
            vm,
            args.disk,
            delete_file=args.delete_file,
            next_start=args.next_start,
            timeout_s=args.timeout,
            confirm=self.confirm(args),
            dry_run=args.dry_run,
        )


class DiskResize(PlannedDisk):
    """Give a disk another size; a running guest sees it at once.

    What is on the disk, such as its partitions and file systems, stays as
    it is: the guest makes use of the room.  A disk can only shrink while
    its VM is stopped, with --shrink.
    """

    examples = (
        "qemu disk resize web disk0 40G",
        "qemu disk resize web disk0 +10G",
    )
    instances_because = None
    asks = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "size",
            metavar="SIZE",
            help="such as 40G, or +10G for that much more",
        )
        parser.add_argument(
            "--shrink",
            action="store_true",
            help="make it smaller, and lose what is behind the end; asks",
        )
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.disks.resize import resize

        return await resize(
            host,
            vm,
            args.disk,
            args.size,
            shrink=args.shrink,
            confirm=self.confirm(args),
            dry_run=args.dry_run,
        )


class DiskThrottle(PlannedDisk):
    """Limit what a disk reads and writes in a second.

    At once if the VM runs, and after each start.  Limits that are not
    named are lifted.
    """

    examples = (
        "qemu disk throttle web disk0 --iops 500 --bps 50M",
        "qemu disk throttle web disk0 --bps-write 10M",
        "qemu disk throttle web disk0 --off",
    )
    instances_because = "machine"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        for name, kind, metavar, what in (
            ("bps", parse_size, "SIZE", "bytes"),
            ("iops", _count, "N", "requests"),
        ):
            for which in ("", "-read", "-write"):
                word = which[1:] or "read and write"
                parser.add_argument(
                    f"--{name}{which}",
                    type=kind,
                    default=0,
                    metavar=metavar,
                    help=f"{what} to {word} in a second",
                )
        parser.add_argument(
            "--off", action="store_true", help="lift all limits"
        )
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.disks.throttle import throttle
        from qemu_cli.instance.model import Throttle

        names = Throttle.__struct_fields__
        wanted = Throttle(**{name: getattr(args, name) for name in names})
        if args.off == any(wanted.limits.values()):
            raise UsageError("say either a limit, such as --bps 50M, or --off")
        return await throttle(
            host, vm, args.disk, wanted, dry_run=args.dry_run
        )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**12:
        raise UsageError(f"'{text}' is not a number of requests")
    return int(text)


def _add_next_start(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--next-start",
        action="store_true",
        help="leave the machine that runs as it is",
    )


def _rows(chain: "Chain", here: Path) -> Iterator[tuple[Any, ...]]:
    """A row for each layer; one for a disk without."""
    device = chain.device
    bus, slot = getattr(device, "bus", None), device and device.slot
    front = (chain.id, chain.kind, bus, slot)
    if not chain.layers:
        nothing = (None,) * 4
        problem = chain.problem or "empty"
        yield (*front, 0, None, *nothing, None, Names([]), problem)
        return
    for depth, layer in enumerate(chain.layers):
        yield (
            Named(chain.id, chain.id if not depth else ""),
            *front[1:],
            depth,
            Named(layer.file, _drawn(layer, depth, here)),
            layer.format,
            Size(layer.virtual_size_bytes),
            Size(layer.actual_size_bytes),
            layer.node,
            layer.read_only,
            Names(layer.snapshots),
            layer.problem or (chain.problem if not depth else None),
        )


def _drawn(layer: "Layer", depth: int, here: Path) -> str:
    path = Path(layer.file)
    inside = path.is_relative_to(here)
    name = str(path.relative_to(here)) if inside else layer.file
    return f"{'  ' * (depth - 1)}└ {name}" if depth else name


def _details(chain: "Chain") -> dict[str, Any]:
    device = chain.device
    top = chain.layers[0] if chain.layers else None
    throttle = getattr(device, "throttle", None)
    return {
        "disk": chain.id,
        "kind": chain.kind,
        "problem": chain.problem or (top and top.problem),
        "bus": getattr(device, "bus", None),
        "slot": device and device.slot,
        "cache": getattr(device, "cache", None),
        "read_only": getattr(
            device,
            "read_only",
            top.read_only if top else chain.kind == "cdrom",
        ),
        "throttle": throttle and Named(plain(throttle), _words(throttle)),
        "file": top and top.file,
        "format": top and top.format,
        "virtual_size_bytes": Size(top.virtual_size_bytes) if top else None,
        "actual_size_bytes": Size(top.actual_size_bytes) if top else None,
        "node": top and top.node,
        "snapshots": Names(top.snapshots if top else []),
        "bitmaps": Names(top.bitmaps if top else []),
        "filters": Names(chain.filters),
        "chain": Named(
            plain(chain.layers),
            "\n".join(
                printable(layer.file)
                + (f" ({layer.problem})" if layer.problem else "")
                for layer in chain.layers
            ),
        ),
    }


def _words(throttle: Any) -> str:
    return "\n".join(
        f"{key}: {value}" for key, value in plain(throttle).items() if value
    )
