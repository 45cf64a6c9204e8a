"""qemu export list and stop."""

import argparse

from qemu_cli.columns import Size
from qemu_cli.command import Command, Lister
from qemu_cli.command.display import Table


class ExportList(Lister):
    """Show what is served to NBD clients, by whomever.

    What somebody made by hand has no name here: QEMU tells only its id.
    """

    examples = ("qemu export list", "qemu export list web -f json")
    table_columns = ("vm", "name", "disk", "kind", "size", "pid", "uri")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "names",
            nargs="*",
            metavar="NAME",
            help="only of these VMs; * and ? match",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.exports.listing import listing

        host = self.app.host
        vms = resolve.select(
            self.app.paths,
            parsed_args.names,
            probe=host.probe,
            every=not parsed_args.names,
            strangers=host.strangers if parsed_args.names else host.exporting,
        )
        for each in vms:
            self.app.host_of(each)  # has room for the lock of its monitor
        rows = []
        for vm, id, export, pid in loop.run(listing(host, vms)):
            if export is None:
                rows.append((vm, *[None] * 3, Size(None), pid, None, id, None))
                continue
            size = Size(export.size_bytes)
            row = (vm, export.name, export.disk, export.kind, size)
            rows.append((*row, pid, export.uri, id, export.created))
        return (*self.table_columns, "id", "created"), rows


class ExportStop(Command):
    """Stop serving what 'qemu nbd-export' serves.

    What was made for it goes, too: the scratch files, and with --scratch
    what clients wrote.  An export that a client is connected to is left as
    it is; with --hard the client is cut off.
    """

    examples = (
        "qemu export stop web",
        "qemu export stop web disk0",
        "qemu export stop web --hard",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("vm", metavar="NAME", help="a VM")
        parser.add_argument(
            "exports",
            metavar="EXPORT",
            nargs="*",
            help="by its name, or its id (default: all of the VM)",
        )
        parser.add_argument(
            "--hard", action="store_true", help="cut clients off"
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only print what would be done",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.exports import records, stop

        vm = resolve.anyone(self.app.host, parsed_args.vm)
        host = self.app.host_of(vm)
        which, hard = parsed_args.exports, parsed_args.hard
        if parsed_args.dry_run:
            known = records.read(vm.paths)
            for export in reversed(stop.choose(vm, known, which)):
                for plan in loop.run(
                    stop.plan_stop(host, vm, export, hard=hard)
                ):
                    for line in plan.describe():
                        self.app.stdout.write(f"{line}\n")
            return
        for export in loop.run(stop.stop(host, vm, which, hard=hard)):
            self.app.ui.say(f"{vm.name}: {export.name} is served no more")
