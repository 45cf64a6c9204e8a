"""qemu usb."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli.command import Lister
from qemu_cli.command.display import Table
from qemu_cli.command.planned import Planned
from qemu_cli.command.wish import parse_disk

if TYPE_CHECKING:
    from qemu_cli.instance.disks.done import Done
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM
    from qemu_cli.instance.wish import Mode


class UsbList(Lister):
    """List what is plugged into a VM's USB controllers."""

    examples = ("qemu usb list web", "qemu usb list web -f json")
    table_columns = ("id", "kind", "port", "host", "problem")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.devices import usb

        columns = usb.UsbDevice._fields
        self.chosen(parsed_args, columns)
        vm = resolve.anyone(self.app.host, parsed_args.name)
        return columns, loop.run(usb.devices(self.app.host_of(vm), vm))


class UsbAdd(Planned):
    """Plug something into a VM's USB controller, at once if it runs.

    WHAT is tablet, keyboard, mouse, storage with a SIZE or a FILE, or a
    device of this host: host:VENDOR:PRODUCT or host:BUS.ADDR, as lsusb
    shows them; the latter is remembered by its port.  A machine that was
    started without a USB controller gets one by 'device add NAME
    qemu-xhci'.
    """

    examples = (
        "qemu usb add web tablet",
        "qemu usb add web storage 8G",
        "qemu usb add web storage stick.img --in-place",
        "qemu usb add web host:046d:c31c",
        "qemu usb add web host:1.4",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("what", metavar="WHAT", help="what to plug in")
        parser.add_argument(
            "image",
            metavar="SIZE|FILE",
            nargs="?",
            help="of storage: as for 'disk add'",
        )
        parser.add_argument(
            "--in-place",
            action="store_true",
            help="write to the image itself",
        )
        parser.add_argument(
            "--trust-image",
            action="store_true",
            help="take an image that names other files of this host",
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
        from qemu_cli.instance.devices import usb

        disk = None
        if args.image is not None:
            mode: Mode = "in-place" if args.in_place else "overlay"
            disk = parse_disk(f"{args.image},bus=usb", mode)
        return await usb.add(
            *(host, vm, args.what),
            disk=disk,
            trust_image=args.trust_image,
            next_start=args.next_start,
            dry_run=args.dry_run,
        )


class UsbRemove(Planned):
    """Pull something out of a VM's USB controller, at once if it runs.

    No guest is asked, as with a real plug.  The file of storage stays.
    """

    examples = (
        "qemu usb remove web tablet1",
        "qemu usb remove web disk1 --next-start",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar="ID", help="as 'usb list' has it")
        parser.add_argument(
            "--next-start",
            action="store_true",
            help="leave the machine that runs as it is",
        )
        return parser

    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> "Done":
        from qemu_cli.instance.devices import usb

        return await usb.remove(
            *(host, vm, args.id),
            next_start=args.next_start,
            dry_run=args.dry_run,
        )
