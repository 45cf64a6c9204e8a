"""qemu memory set."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli.command.planned import Planned
from qemu_cli.errors import UsageError
from qemu_cli.units import parse_duration, parse_size

if TYPE_CHECKING:
    from qemu_cli.instance.disks.done import Done
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM

_MIB = 1 << 20


class MemorySet(Planned):
    """Give a VM more memory or less, at once if it runs.

    A running machine gets a DIMM with what is to come, of a multiple of
    128M; its guest may have to bring that online.  It loses whole DIMMs
    only, when its guest lets go of them, and never what it was started
    with.  A stopped VM has it all in one piece at its next start.
    """

    examples = (
        "qemu memory set web 4G",
        "qemu memory set web 2G --timeout 1m",
        "qemu memory set web 8G --next-start",
    )
    instances_because = "machine"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "size",
            metavar="SIZE",
            type=_mib,
            help="of all its memory, such as 2G",
        )
        parser.add_argument(
            "--timeout",
            type=parse_duration,
            default=20.0,
            metavar="TIME",
            help="how long the guest may take to let go of each DIMM "
            "(default: 20s)",
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
        from qemu_cli.instance.devices.memory import set_memory

        return await set_memory(
            host,
            vm,
            args.size,
            next_start=args.next_start,
            timeout_s=args.timeout,
            dry_run=args.dry_run,
        )


def _mib(text: str) -> int:
    size_bytes = parse_size(text)
    if size_bytes < _MIB or size_bytes % _MIB:
        raise UsageError(f"not a whole number of MiB: '{text}'")
    return size_bytes // _MIB
