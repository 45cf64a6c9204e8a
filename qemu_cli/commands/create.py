"""qemu create."""

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemu_cli.command import ShowOne
from qemu_cli.command.made import describe
from qemu_cli.command.options import PluginOptions
from qemu_cli.command.wish import add_wish_options, wish_of
from qemu_cli.errors import QemuCliError, UsageError

if TYPE_CHECKING:
    from qemu_cli.instance.create import Created


class Create(ShowOne):
    """Make a VM: its directory, its disks and its definition.

    An image that is given is never changed: the VM gets an overlay on it,
    unless --copy or --in-place says otherwise.  What was made is printed;
    it is not started without --start.

    With --definition, that says it all, such as one of 'qemu capture': its
    disks are used where they are.
    """

    examples = (
        "qemu create web --image debian-13.qcow2 --forward 22 --start",
        "qemu create installer --disk 20G --cdrom debian-13.iso",
        "qemu create k --kernel vmlinuz --initrd initrd.gz "
        "--append console=ttyS0",
        "qemu create web --definition captured.toml",
    )

    @functools.cached_property
    def plugins(self) -> PluginOptions:
        """The options that plug-ins add."""
        return PluginOptions(self.warn)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_wish_options(parser)
        self.plugins.add(parser)
        parser.add_argument(
            "--definition",
            type=Path,
            metavar="FILE",
            help="make it of an instance.toml; goes with no option but "
            "--start and --dry-run",
        )
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

        made = loop.run(self._make(parsed_args))
        for line in made.plan.describe():
            self.app.stdout.write(f"{line}\n")
        return 0

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        from qemu_cli.command import loop
        from qemu_cli.instance import start
        from qemu_cli.instance.host import pid_of
        from qemu_cli.instance.resolve import resolve

        host = self.app.host
        name = parsed_args.name

        async def work() -> "Created":
            made = await self._make(parsed_args)
            if parsed_args.start:
                vm = resolve(host.paths, name, probe=host.probe)
                try:
                    started = await start.start(host, vm)
                except QemuCliError:
                    host.say(f"{name}: created, but not started")
                    raise
                pid = pid_of(started.vm)
                host.say(f"{name}: started (pid {pid})")
            return made

        made = loop.run(work())
        if made.hint:
            self.app.ui.advise("accel", made.hint)
        return describe(host.paths.instance(name), made.definition)

    async def _make(self, args: argparse.Namespace) -> "Created":
        """Make it, or with ``--dry-run`` only say how."""
        from qemu_cli.instance import adopt, create

        if args.definition is None:
            extras = self.plugins.extras(args, self.app.host)
            wish = wish_of(args, self.app.config, extras)
            return await create.create(
                self.app.host, wish, dry_run=args.dry_run
            )
        others = self._others(args)
        if others:
            raise UsageError(
                f"--definition says it all: {', '.join(others)} can't go "
                "with it",
                hint="change the file, or afterwards 'qemu set' or 'edit'",
            )
        return await adopt.adopt(
            self.app.host, args.name, args.definition, dry_run=args.dry_run
        )

    def _others(self, args: argparse.Namespace) -> list[str]:
        """The options for a VM that were given."""
        parser = argparse.ArgumentParser()
        add_wish_options(parser)
        self.plugins.add(parser)
        nothing = vars(parser.parse_args([args.name]))
        return [
            f"--{key.replace('_', '-')}"
            for key, value in nothing.items()
            if getattr(args, key) != value
        ]
