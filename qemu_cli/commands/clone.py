"""qemu clone."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qemu_cli.command import ShowOne
from qemu_cli.command.made import describe
from qemu_cli.units import format_size

if TYPE_CHECKING:
    from qemu_cli.instance.clone import Cloned
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM


class Clone(ShowOne):
    """Make a new VM from a stopped one.

    The clone is linked: what is on the disks now is shared by both, and
    each writes to an overlay of its own.  So it takes no time and no
    space, but the first VM can't be deleted before its clones.  With
    --full the disks are copied, and its TPM's content too.

    The clone has its own uuid, MACs and forwarded host ports.  What is
    inside its guest, such as the host name, is the same.
    """

    examples = (
        "qemu clone web web2",
        "qemu clone web copy --full",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the VM to clone")
        parser.add_argument("new", metavar="NEW", help="the clone's name")
        parser.add_argument(
            "--full",
            action="store_true",
            help="copy the disks, so that the two share nothing",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only print what would be done",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        if not parsed_args.dry_run:
            return super().run(parsed_args)
        for line in self._clone(parsed_args).plan.describe():
            self.app.stdout.write(f"{line}\n")
        return 0

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        made = self._clone(parsed_args)
        paths = self.app.host.paths.instance(parsed_args.new)
        return describe(paths, made.definition)

    def _clone(self, args: argparse.Namespace) -> "Cloned":
        from qemu_cli.command import loop
        from qemu_cli.instance import clone
        from qemu_cli.instance.resolve import resolve

        host = self.app.host
        vm = resolve(host.paths, args.name, probe=host.probe)
        host = self.app.host_of(vm)

        async def work() -> "Cloned":
            clone.check_cloneable(vm, full=args.full)
            if args.full:
                await self._say_space(host, vm)
            return await clone.clone(
                host, vm, args.new, full=args.full, dry_run=args.dry_run
            )

        return loop.run(work())

    async def _say_space(self, host: "Host", vm: "VM") -> None:
        from qemu_cli.instance import clone

        needed, free = await clone.space(host, vm)
        self.app.ui.say(
            f"{vm.name}: copying its disks takes {format_size(needed)} at"
            f" most; {format_size(free)} are free"
        )
