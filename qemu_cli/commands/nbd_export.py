"""qemu nbd-export."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qemu_cli.columns import Size
from qemu_cli.command.display import Table, Tabular
from qemu_cli.errors import UsageError
from qemu_cli.units import parse_size

if TYPE_CHECKING:
    from qemu_cli.instance.exports.model import Export, Kind, Wanted


class NbdExport(Tabular):
    """Serve disks of a VM to NBD clients, and print where.

    Prints one NBD URI for each disk, which nbdcopy, nbdinfo, qemu-img and
    others take.  Clients can only read, unless told otherwise.  They see
    each disk as it is at this moment, all disks at the same, whatever the
    guest writes later: what it overwrites is kept in a scratch file.  It
    is served until 'qemu export stop', or until the VM's QEMU ends.

    A VM that somebody else started must be able to write to the directory
    of this program: it listens there, and keeps the scratch file there.
    """

    examples = (
        "qemu nbd-export web",
        "qemu nbd-export web disk0 --quiesce --foreground",
        "qemu nbd-export web disk0 --name today -f json",
        "qemu nbd-export web disk0 --scratch",
        "qemu nbd-export web --snapshot before-upgrade",
        "qemu nbd-export web disk0 --listen 127.0.0.1:10809",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("vm", metavar="NAME", help="a VM")
        parser.add_argument(
            "disks", metavar="DISK", nargs="*", help="by default all"
        )
        self._add_what(parser)
        self._add_how(parser)
        self._add_who(parser.add_argument_group("clients elsewhere"))
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only print what would be done",
        )
        return parser

    @staticmethod
    def _add_what(parser: argparse.ArgumentParser) -> None:
        what = parser.add_argument_group(
            "what is served"
        ).add_mutually_exclusive_group()
        what.add_argument(
            "--live",
            action="store_true",
            help="the disk itself, which changes while it is read",
        )
        what.add_argument(
            "--backing",
            type=int,
            nargs="?",
            const=1,
            metavar="DEPTH",
            help="its backing file, or the one DEPTH layers below the disk",
        )
        what.add_argument(
            "--snapshot", metavar="SNAP", help="the disk in a snapshot"
        )
        what.add_argument(
            "--writable",
            action="store_true",
            help="clients write to the disk; the VM must not run",
        )
        what.add_argument(
            "--scratch",
            action="store_true",
            help="clients can write, and what they write is thrown away",
        )

    @staticmethod
    def _add_how(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--name", help="of the export, for one disk (default: the disk's)"
        )
        parser.add_argument(
            "--bitmap",
            metavar="BITMAP",
            help="tell clients what has changed, by this dirty bitmap",
        )
        parser.add_argument(
            "--quiesce",
            action="store_true",
            help="freeze the guest's file systems for the moment (needs its "
            "agent)",
        )
        parser.add_argument(
            "--scratch-size",
            metavar="SIZE",
            help="the most that a scratch file may take (default: what is "
            "free)",
        )
        parser.add_argument(
            "--foreground",
            action="store_true",
            help="serve until Ctrl-C, and take it down then",
        )

    @staticmethod
    def _add_who(group: "argparse._ArgumentGroup") -> None:
        group.add_argument(
            "--listen",
            metavar="HOST:PORT",
            help="serve others, too, on this address; port 0: any",
        )
        group.add_argument(
            "--tls-psk", metavar="FILE", help="clients need one of these keys"
        )
        group.add_argument(
            "--tls-x509", metavar="DIR", help="certificates; encrypted"
        )
        group.add_argument(
            "--max-connections",
            type=int,
            metavar="COUNT",
            help="further clients wait",
        )

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Serve, and print what is served as soon as it is."""
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.exports import serve

        formatter = None
        if parsed_args.formatter is not None or parsed_args.columns:
            formatter = self.formatter(parsed_args)
        wanted = _wanted(parsed_args)
        vm = resolve.anyone(self.app.host, parsed_args.vm)
        host = self.app.host_of(vm)
        if parsed_args.dry_run:
            serving = loop.run(serve.plan_serve(host, vm, wanted))
            for line in serving.plan.describe():
                self.app.stdout.write(f"{line}\n")
            return 0
        if wanted.kind == "live" and vm.alive:
            self.app.ui.warn(
                f"{vm.name}: a disk that is written to while it is read is "
                "a mixture; only its guest knows what is where"
            )

        def tell(exports: "Sequence[Export]") -> None:
            if formatter is None:
                for export in exports:
                    self.app.stdout.write(f"{export.uri}\n")
            else:
                self.print_rows(formatter, parsed_args, *_table(exports))
            self.app.stdout.flush()

        loop.run(
            serve.serve(
                host, vm, wanted, tell, foreground=parsed_args.foreground
            )
        )
        return 0


def _table(exports: "Sequence[Export]") -> Table:
    return ("name", "disk", "kind", "size", "uri"), [
        (e.name, e.disk, e.kind, Size(e.size_bytes), e.uri) for e in exports
    ]


def _wanted(args: argparse.Namespace) -> "Wanted":
    from qemu_cli.instance.exports.model import Wanted

    kinds: dict[Kind, bool] = {
        "live": args.live,
        "backing": args.backing is not None,
        "snapshot": args.snapshot is not None,
        "writable": args.writable,
        "scratch": args.scratch,
    }
    size = args.scratch_size
    if args.max_connections is not None and args.max_connections < 1:
        raise UsageError("--max-connections: at least one client")
    return Wanted(
        disks=tuple(args.disks),
        name=args.name,
        kind=next((kind for kind, asked in kinds.items() if asked), "pit"),
        depth=1 if args.backing is None else args.backing,
        snapshot=args.snapshot,
        bitmap=args.bitmap,
        quiesce=args.quiesce,
        scratch_bytes=None if size is None else parse_size(size),
        listen=args.listen,
        tls_psk=args.tls_psk,
        tls_x509=args.tls_x509,
        max_connections=args.max_connections,
    )
