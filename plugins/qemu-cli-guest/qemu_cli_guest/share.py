"""The option ``--share`` of ``qemu create`` and ``qemu run``."""

import argparse
from collections.abc import Callable

from qemu_cli.command.options import CreateOptions
from qemu_cli.instance.host import Host
from qemu_cli.instance.parts import Newborn, Parts


class ShareOption(CreateOptions):
    """Directories that the guest can mount from its first boot on."""

    def add(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--share",
            action="append",
            default=[],
            metavar="DIR[:TAG][,ro]",
            help="share a directory of this host, as 'qemu share add' does "
            "(repeatable)",
        )

    def extra(
        self, args: argparse.Namespace, host: Host
    ) -> Callable[[Newborn], Parts] | None:
        if not args.share:
            return None
        from qemu_cli.instance.shares.choose import choose
        from qemu_cli.instance.shares.wish import parse_share

        wishes = [choose(host, parse_share(text)) for text in args.share]
        return lambda vm: Parts("guest", shares=tuple(wishes))
