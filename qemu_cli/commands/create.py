"""qemu create."""

import argparse
from collections.abc import Sequence
from typing import Any

from qemu_cli.command import ShowOne
from qemu_cli.command.made import describe
from qemu_cli.command.wish import add_wish_options, wish_of
from qemu_cli.errors import QemuCliError


class Create(ShowOne):
    """Make a VM: its directory, its disks and its definition.

    An image that is given is never changed: the VM gets an overlay on it,
    unless --copy or --in-place says otherwise.  What was made is printed;
    it is not started without --start.
    """

    examples = (
        "qemu create web --image debian-13.qcow2 --forward 22 --start",
        "qemu create installer --disk 20G --cdrom debian-13.iso",
        "qemu create k --kernel vmlinuz --initrd initrd.gz "
        "--append console=ttyS0",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_wish_options(parser)
        parser.add_argument(
            "--start", action="store_true", help="start it at once"
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
        from qemu_cli.command import loop
        from qemu_cli.instance import create

        wish = wish_of(parsed_args, self.app.config)
        made = loop.run(create.create(self.app.host, wish, dry_run=True))
        for line in made.plan.describe():
            self.app.stdout.write(f"{line}\n")
        return 0

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        from qemu_cli.command import loop
        from qemu_cli.instance import create, start
        from qemu_cli.instance.host import pid_of
        from qemu_cli.instance.resolve import resolve

        host = self.app.host
        wish = wish_of(parsed_args, self.app.config)

        async def work() -> create.Created:
            made = await create.create(host, wish)
            if parsed_args.start:
                vm = resolve(host.paths, wish.name, probe=host.probe)
                try:
                    started = await start.start(host, vm)
                except QemuCliError:
                    host.say(f"{wish.name}: created, but not started")
                    raise
                pid = pid_of(started.vm)
                host.say(f"{wish.name}: started (pid {pid})")
            return made

        made = loop.run(work())
        if made.hint:
            self.app.ui.hint(made.hint)
        return describe(host.paths.instance(wish.name), made.definition)
