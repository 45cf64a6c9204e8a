"""qemu guest freeze."""

import argparse

from qemu_cli.command import Command, Parser
from qemu_cli.errors import UsageError
from qemu_cli.units import parse_duration


class GuestFreeze(Command):
    """Hold a guest's file systems still while something is done.

    They are consistent on its disks, and all who write wait.  The command
    behind -- runs on this host meanwhile, and its exit code is ours;
    without one, the guest stays frozen until Ctrl-C, or for a TIME.
    It is thawed however this ends, with kill -9, too; what else is done to
    thaw it is 'qemu guest thaw'.
    """

    examples = (
        "qemu guest freeze web -- lvcreate -s -n now vg/web",
        "qemu guest freeze web --for 10s",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        assert isinstance(parser, Parser)  # noqa: S101
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.pass_on(
            "argv",
            metavar="CMD",
            help="a program on this host and its arguments, behind --",
        )
        parser.add_argument(
            "--for",
            dest="for_s",
            type=parse_duration,
            metavar="TIME",
            help="thaw it when that is over",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli_guest import frozen

        argv, for_s = parsed_args.argv, parsed_args.for_s
        if argv and for_s is not None:
            raise UsageError("either --for or a command, not both")
        host = self.app.host
        vm = resolve.resolve(host.paths, parsed_args.name, probe=host.probe)
        host = self.app.host_of(vm)
        if argv:
            return loop.run(frozen.while_it_runs(host, vm, argv))
        loop.run(frozen.hold(host, vm, for_s))
        return 0
