"""qemu forward."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli import settings
from qemu_cli.command import Lister
from qemu_cli.command.display import Table
from qemu_cli.command.planned import Planned

if TYPE_CHECKING:
    from qemu_cli.instance.disks.done import Done
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM

_FORWARD = "[[ADDRESS:]HOST:]GUEST[/udp]"


class ForwardList(Lister):
    """List the ports of this host that lead into a VM.

    Those that its user network listens on now, and those that it will have
    at its next start.
    """

    examples = ("qemu forward list web", "qemu forward list web -f json")
    table_columns = (
        *("nic", "protocol", "host_address", "host_port", "guest_port"),
        "problem",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.forwards.rows import Row, rows

        columns = Row._fields
        self.chosen(parsed_args, columns)
        vm = resolve.anyone(self.app.host, parsed_args.name)
        return columns, loop.run(rows(self.app.host_of(vm), vm))


class ForwardAdd(Planned):
    """Forward a port of this host to a port of a guest, at once.

    Without HOST, or with 0, a free port is chosen and told.  It is written
    down, and the same at each start.  ADDRESS is where this host listens
    (setting forward-host, 127.0.0.1): 0.0.0.0 lets others in.  A VM that
    somebody else started has the forward until it ends.
    """

    examples = (
        "qemu forward add web 22",
        "qemu forward add web 8080:80",
        "qemu forward add web 0.0.0.0:8443:443",
        "qemu forward add web 5353:53/udp --next-start",
    )
    instances_because = None

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "forward", metavar=_FORWARD, help="the ports, as in 8080:80"
        )
        parser.add_argument(
            "--nic", metavar="ID", help="into which network, if it has several"
        )
        parser.add_argument(
            "--next-start",
            action="store_true",
            help="leave the machine that runs as it is",
        )
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.forwards import change
        from qemu_cli.instance.wish import parse_forward

        address = host.config[settings.FORWARD_HOST]
        return await change.add(
            *(host, vm, parse_forward(args.forward, address)),
            nic=args.nic,
            next_start=args.next_start,
            dry_run=args.dry_run,
        )


class ForwardRemove(Planned):
    """Forward a port no more.

    Connections that came in through it go on.
    """

    examples = (
        "qemu forward remove web 22",
        "qemu forward remove web 8080:80",
        "qemu forward remove web 127.0.0.1:5353:53/udp",
    )
    instances_because = None

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "forward", metavar=_FORWARD, help="as 'forward list' has it"
        )
        parser.add_argument(
            "--next-start",
            action="store_true",
            help="leave the machine that runs as it is",
        )
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.forwards import change
        from qemu_cli.instance.wish import parse_forward

        return await change.remove(
            *(host, vm, parse_forward(args.forward)),
            any_address=args.forward.count(":") < 2,
            next_start=args.next_start,
            dry_run=args.dry_run,
        )
