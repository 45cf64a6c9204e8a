"""The command; nothing of Textual is imported before it runs."""

import argparse
import os
import sys

from qemu_cli import settings
from qemu_cli.command import Command
from qemu_cli.errors import UsageError
from qemu_cli.units import parse_duration

_LEAST_S = 0.5
_MOST_S = 3600.0


class Top(Command):
    """Watch all VMs on a full screen: CPU, memory, disks, network.

    Those that others started are shown too.  s sorts by the next column,
    p pauses, r resumes, x shuts down, l shows the serial log, q quits.
    """

    examples = ("qemu top", "qemu top web db --interval 5s")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "names",
            nargs="*",
            metavar="NAME",
            help="a VM, or pid:N, qmp:ADDRESS, ORIGIN:NAME; * and ? match "
            "names of your instances (default: all that run)",
        )
        parser.add_argument(
            "--interval",
            type=parse_duration,
            default=2.0,
            metavar="TIME",
            help="between two looks (default: 2s)",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        if not _LEAST_S <= parsed_args.interval <= _MOST_S:
            raise UsageError(
                f"--interval must be from {_LEAST_S:g}s to {_MOST_S:g}s"
            )
        # Textual reads from stdin and draws on stderr.
        if not (
            all(each.isatty() for each in (sys.stdin, sys.stdout, sys.stderr))
            and os.environ.get("TERM", "dumb") != "dumb"
        ):
            raise UsageError(
                "'qemu top' needs a terminal",
                hint="'qemu stats --watch' writes to pipes and files, too",
            )
        from qemu_cli.instance.stats.sampler import Sampler
        from qemu_cli_top.view import TopApp

        host = self.app.host
        foreign = host.config[settings.LIST_FOREIGN]
        sampler = Sampler(host, parsed_args.names, foreign=foreign)
        first = sampler.take()  # a name that is wrong is told as usual
        view = TopApp(self.app, sampler, first, parsed_args.interval)
        view.run()
        return view.return_code or 0
