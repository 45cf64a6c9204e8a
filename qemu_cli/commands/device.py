"""qemu device."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli.command import Lister
from qemu_cli.command.display import Table
from qemu_cli.command.planned import Planned
from qemu_cli.units import parse_duration

if TYPE_CHECKING:
    from qemu_cli.instance.disks.done import Done
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM


class DeviceList(Lister):
    """List the devices of a VM, whoever started it.

    Of a running VM, QEMU is asked; of another, its definition.  A place is
    a root port such as rp3, or a bus of QEMU's and an address on it.
    """

    examples = (
        "qemu device list web",
        "qemu device list web --board",
        "qemu device list pid:4711 -f json",
    )
    table_columns = (
        "id",
        "driver",
        "kind",
        "place",
        "hotpluggable",
        "problem",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument(
            "--board",
            action="store_true",
            help="root ports, too, and of a running VM the board's own "
            "PCI devices",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.devices import listing

        columns = listing.Device._fields
        self.chosen(parsed_args, columns)
        vm = resolve.anyone(self.app.host, parsed_args.name)
        work = listing.devices(
            self.app.host_of(vm), vm, board=parsed_args.board
        )
        return columns, loop.run(work)


class DeviceAdd(Planned):
    """Give a VM one more device, at once if it runs.

    DRIVER and its properties are QEMU's; a throw-away QEMU is asked
    whether it has them.  The device gets a root port or a USB port, which
    is written down: the next start has it in the same place.
    virtio-net-pci is a NIC, with netdev=user or netdev=bridge:NAME.
    """

    examples = (
        "qemu device add web virtio-rng-pci,max-bytes=1024,period=1000",
        "qemu device add web qemu-xhci",
        "qemu device add web virtio-net-pci",
        "qemu device add web i6300esb --next-start",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "what",
            metavar="DRIVER[,KEY=VALUE…]",
            help="as 'qemu-system-x86_64 -device help' lists them; id=ID "
            "chooses its id",
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
        from qemu_cli.instance.devices.add import add
        from qemu_cli.instance.devices.wish import parse_device

        return await add(
            host,
            vm,
            parse_device(args.what),
            next_start=args.next_start,
            dry_run=args.dry_run,
        )


class DeviceRemove(Planned):
    """Take a device from a VM, at once if it runs.

    The guest of a running VM is asked to let go of a PCI device.  One
    that does not react keeps it, nothing is changed, and the exit code is
    7.  Disks have 'disk remove'; what the machine is made of stays.
    """

    examples = (
        "qemu device remove web rng1",
        "qemu device remove web net1 --next-start",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar="ID", help="as 'device list' has it")
        parser.add_argument(
            "--timeout",
            type=parse_duration,
            default=20.0,
            metavar="TIME",
            help="how long the guest may take to let go of it (default: 20s)",
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
        from qemu_cli.instance.devices.remove import remove

        return await remove(
            host,
            vm,
            args.id,
            next_start=args.next_start,
            timeout_s=args.timeout,
            dry_run=args.dry_run,
        )
