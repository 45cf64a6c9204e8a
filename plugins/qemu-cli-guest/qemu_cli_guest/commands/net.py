"""qemu net."""

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.columns import Names
from qemu_cli.command import Command, Lister
from qemu_cli.command.display import Table
from qemu_cli.errors import UsageError
from qemu_cli.units import format_size, parse_duration, parse_size

if TYPE_CHECKING:
    from qemu_cli.instance.net.capture import Captured, Wanted


class NetList(Lister):
    """List the network cards of VMs, and what each is plugged into.

    Without a name, of all your instances.  Of a running VM QEMU is asked,
    of another its definition.  Whether a link is up is what 'net link' has
    done to it.  Addresses are what the guest agent tells; behind a bridge
    also what this host has heard (arp(7)).
    """

    examples = ("qemu net list", "qemu net list web -f json")
    table_columns = (
        *("vm", "id", "model", "mac", "backend", "details", "link"),
        "addresses",
    )

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
        from qemu_cli.instance.net import cards

        host, names = self.app.host, parsed_args.names
        columns = cards.Card._fields
        self.chosen(parsed_args, columns)
        vms = resolve.select(
            host.paths,
            names,
            probe=host.probe,
            every=not names,
            strangers=host.strangers if names else None,
        )
        for vm in vms:
            self.app.host_of(vm)  # has room for the lock of its monitor
        found = loop.run(cards.look(host, vms))
        for each in found:
            if each.problem:
                self.app.ui.warn(f"{each.vm.name}: {each.problem}")
        return columns, [
            (*card[:-1], Names(card.addresses))
            for each in found
            for card in each.cards
        ]


class NetConnections(Lister):
    """List the connections that go through a VM's user network.

    QEMU's own network stack has them on this host: those that the guest
    made, those that came in through a forward, and the forwards
    themselves, which listen.
    """

    examples = (
        "qemu net connections web",
        "qemu net connections web --filter state == ESTABLISHED -f json",
    )
    table_columns = (
        *("protocol", "state", "source", "source_port"),
        *("target", "target_port", "receiving_bytes", "sending_bytes"),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.net import connections

        columns = connections.Connection._fields
        self.chosen(parsed_args, columns)
        vm = resolve.anyone(self.app.host, parsed_args.name)
        found = loop.run(connections.connections(self.app.host_of(vm), vm))
        return columns, found


class NetLink(Command):
    """Pull the cable of a network card, or put it in again.

    The guest sees it at once.  It lasts until the VM ends: the next start
    has all links up, also one that goes on from what was saved.  Going back
    to a snapshot leaves links as they are.
    """

    examples = ("qemu net link web down", "qemu net link web net1 up")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument(
            "nic",
            metavar="NIC",
            nargs="?",
            help="the card's id, if it has several",
        )
        parser.add_argument("state", choices=("up", "down"))
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.net import links

        up = parsed_args.state == "up"
        vm = resolve.anyone(self.app.host, parsed_args.name)
        nic = loop.run(
            links.set_link(self.app.host_of(vm), vm, parsed_args.nic, up=up)
        )
        self.app.ui.say(f"{vm.name}: the link of {nic} is {parsed_args.state}")


class NetCapture(Command):
    """Write down what goes through a network card, as a pcap file.

    QEMU does it: no rights on this host are needed.  It goes on until
    Ctrl-C, or what is said by an option, or the VM ends; with kill -9, too,
    nothing of it stays in QEMU.  tcpdump and Wireshark read the file.
    """

    examples = (
        "qemu net capture web web.pcap",
        "qemu net capture web web.pcap --for 30s --max-size 100M",
        "qemu net capture web - | tcpdump -n -r -",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument(
            "file", metavar="FILE", help="a new file; '-' is standard output"
        )
        parser.add_argument(
            "--nic", metavar="NIC", help="the card's id, if it has several"
        )
        parser.add_argument(
            "--for",
            dest="for_s",
            type=parse_duration,
            metavar="TIME",
            help="end when that is over",
        )
        parser.add_argument(
            "--max-size",
            type=parse_size,
            metavar="SIZE",
            help="end when the file is as large",
        )
        parser.add_argument(
            "--snap-size",
            type=parse_size,
            metavar="SIZE",
            default=65536,
            help="keep so much of each frame (default: 64k, all)",
        )
        parser.add_argument(
            "--force", action="store_true", help="overwrite the file"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        from qemu_cli.command import loop

        file = parsed_args.file
        with contextlib.suppress(KeyboardInterrupt):  # that is how it ends
            done = loop.run(self._capture(parsed_args))
            self.app.ui.say(f"{parsed_args.name}: {done.reason}")
        if file != "-" and Path(file).exists():
            size = format_size(Path(file).stat().st_size)
            self.app.ui.say(f"{parsed_args.name}: {size} captured in {file}")
        return 0

    async def _capture(self, args: argparse.Namespace) -> "Captured":
        from qemu_cli.instance import resolve
        from qemu_cli.instance.net import capture

        vm = resolve.anyone(self.app.host, args.name)
        out = self.app.stdout

        def begun(netdev: str) -> None:
            self.app.ui.say(
                f"{vm.name}: capturing at {netdev}; Ctrl-C ends it"
            )

        def write(data: bytes) -> None:
            out.buffer.write(data)
            out.buffer.flush()

        return await capture.capture(
            *(self.app.host_of(vm), vm, self._wanted(args)),
            begun=begun,
            write=write,
        )

    def _wanted(self, args: argparse.Namespace) -> "Wanted":
        from qemu_cli.instance.net.capture import Wanted

        if args.file == "-" and self.app.stdout.isatty():
            raise UsageError("a capture is nothing for a terminal")
        return Wanted(
            nic=args.nic,
            file=None if args.file == "-" else Path(args.file).absolute(),
            force=args.force,
            for_s=args.for_s,
            max_bytes=args.max_size,
            snap_bytes=args.snap_size,
        )
