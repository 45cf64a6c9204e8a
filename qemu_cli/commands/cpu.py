"""qemu cpu set."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli.command.planned import Planned
from qemu_cli.errors import UsageError
from qemu_cli.units import parse_duration

if TYPE_CHECKING:
    from qemu_cli.instance.disks.done import Done
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM

_MOST = 4096


class CpuSet(Planned):
    """Give a VM another number of CPUs, at once if it runs.

    A VM has room for as many as its board can have, unless its definition
    says less (machine.max_cpus).  Its guest may have to bring new ones
    online, and is asked to let go of those that are too many.  A running
    machine keeps those that it was started with.
    """

    examples = (
        "qemu cpu set web 4",
        "qemu cpu set web 1 --timeout 1m",
        "qemu cpu set web 8 --next-start",
    )
    instances_because = "machine"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "number", metavar="N", type=_number, help="how many"
        )
        parser.add_argument(
            "--timeout",
            type=parse_duration,
            default=20.0,
            metavar="TIME",
            help="how long the guest may take to let go of each (default: "
            "20s)",
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
        from qemu_cli.instance.devices.cpus import set_cpus

        return await set_cpus(
            host,
            vm,
            args.number,
            next_start=args.next_start,
            timeout_s=args.timeout,
            dry_run=args.dry_run,
        )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) <= _MOST:
        raise UsageError(f"not a number of CPUs: '{text}'")
    return int(text)
