"""qemu wait."""

import argparse
from typing import TYPE_CHECKING, Any

from qemu_cli.command import Lister
from qemu_cli.errors import UsageError

if TYPE_CHECKING:
    from qemu_cli.command.display import Table


class Wait(Lister):
    """Wait until something holds of VMs.

    Conditions, and plug-ins add more:

      running, paused, stopped  its state
      event:NAME                QEMU sends this event, from now on
      console:REGEX             the guest has written this since its start
      job:ID                    this job has ended
      agent                     the guest agent answers
      port:N                    somebody serves this port of the guest

    A VM that does not run yet is waited for; one that ends, and can't
    fulfil the condition any more, is an error.  When the time is over, the
    exit code is 7.
    """

    examples = (
        "qemu wait web --for console:'login: ' --timeout 2m",
        "qemu wait web db --for port:22",
        "qemu wait web --for stopped --for event:GUEST_PANICKED --any",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "names",
            metavar="NAME",
            nargs="+",
            help="a VM; * and ? match names of your instances",
        )
        parser.add_argument(
            "--for",
            dest="wishes",
            action="append",
            required=True,
            metavar="CONDITION",
            help="what to wait for (repeatable: all of them)",
        )
        parser.add_argument(
            "--any",
            action="store_true",
            help="one condition of one VM will do",
        )
        parser.add_argument(
            "--timeout",
            metavar="DURATION",
            help="give up after this (default: never)",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        if parsed_args.formatter:
            return super().run(parsed_args)
        for name, condition, seen in self._wait(parsed_args):
            self.app.ui.say(f"{name}: {condition}: {seen}")
        return 0

    def take_action(self, parsed_args: argparse.Namespace) -> "Table":
        return ("name", "condition", "seen"), self._wait(parsed_args)

    def _wait(self, args: argparse.Namespace) -> list[Any]:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve, waiting
        from qemu_cli.units import parse_duration

        timeout_s = parse_duration(args.timeout) if args.timeout else None
        wishes = [waiting.wish(text) for text in args.wishes]
        host = self.app.host
        vms = resolve.select(
            host.paths,
            args.names,
            probe=host.probe,
            strangers=host.strangers,
        )
        if not vms:
            raise UsageError("no VM named")
        for each in vms:
            self.app.host_of(each)  # has room for the lock of its monitor
        return loop.run(
            waiting.wait(
                host, vms, wishes, first=args.any, timeout_s=timeout_s
            )
        )
