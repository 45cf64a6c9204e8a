"""qemu run."""

import argparse
import functools
from contextlib import ExitStack
from typing import TYPE_CHECKING

from qemu_cli.command import Command
from qemu_cli.command.options import PluginOptions
from qemu_cli.command.wish import add_wish_options, wish_of
from qemu_cli.errors import NotFoundError, StateError

if TYPE_CHECKING:
    from qemu_cli.instance.vm import VM


class Run(Command):
    """Start a VM in the foreground, a new one or one that exists.

    With the options of 'qemu create' it is made first.  On a terminal its
    console is attached; without one, what the guest writes to its serial
    port goes to stdout.  The exit code is 0 when the guest has shut down.

    Ctrl-C (on the console: Ctrl-], which leaves it) asks the guest to shut
    down, and Ctrl-C once more leaves it running.  With --rm nothing is
    left in any case, even if this program is killed.
    """

    examples = (
        "qemu run web",
        "qemu run try --image debian-13.qcow2 --rm",
        "qemu run k --kernel vmlinuz --append console=ttyS0 --rm > boot.log",
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
            "--rm",
            action="store_true",
            help="delete it when it has ended; for a new one",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.guardian import Guardian, guarding
        from qemu_cli.instance import foreground

        host, name = self.app.host, parsed_args.name
        paths = host.paths.instance(name)
        is_new = self._is_new(parsed_args)
        guardian: Guardian | None = None
        with ExitStack() as stack:
            if parsed_args.rm:
                scope = [
                    word
                    for setting in self.app.options.settings
                    for word in ("-c", setting)
                ]
                guardian = stack.enter_context(
                    guarding(
                        [*scope, "kill", name],
                        [*scope, "delete", name, "--yes"],
                    )
                )
            if is_new:
                self._create(parsed_args)
            if guardian:
                guardian.arm()
            try:
                self._foreground(loop.run(self._start(name)))
                loop.run(foreground.outcome(host, paths))
            finally:
                if guardian:
                    loop.run(foreground.remove(host, paths))
                    guardian.disarm()

    def _is_new(self, args: argparse.Namespace) -> bool:
        """Whether the instance is to be made.

        :raise NotFoundError: it does not exist, and nothing says what of
        :raise StateError: it exists, and --rm would delete it
        """
        alone = self.get_parser("").parse_args([*self.defaults, args.name])
        alone.rm = args.rm
        exists = self.app.host.paths.instance(args.name).directory.exists()
        if exists and args.rm:
            raise StateError(
                f"there is an instance '{args.name}' already: --rm is for "
                "new ones",
                hint=f"'qemu run {args.name}' starts it; it is kept",
            )
        if not exists and args == alone:
            raise NotFoundError(
                f"there is no instance '{args.name}'",
                hint="to make one, say what of, as in --image FILE or "
                "--disk 10G; see 'qemu create --help'",
            )
        return args != alone or not exists

    def _create(self, args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.instance import create

        extras = self.plugins.extras(args, self.app.host)
        wish = wish_of(args, self.app.config, extras)
        made = loop.run(create.create(self.app.host, wish))
        if made.hint:
            self.app.ui.advise("accel", made.hint)

    async def _start(self, name: str) -> "tuple[VM, int]":
        """Start it; return also where in the serial log it begins."""
        from qemu_cli.instance import logs, start
        from qemu_cli.instance.resolve import resolve

        host = self.app.host
        vm = resolve(host.paths, name, probe=host.probe)
        offset = logs.tail_offset(vm.paths.serial_log, 0)
        return (await start.start(self.app.host_of(vm), vm)).vm, offset

    def _foreground(self, started: "tuple[VM, int]") -> None:
        from qemu_cli.command import loop
        from qemu_cli.command.console import attach
        from qemu_cli.instance import foreground

        vm, offset = started
        host = self.app.host_of(vm)
        if self.app.stdin.isatty() and self.app.stdout.isatty():
            # What is in the log is of former runs.
            attach(self.app, vm, replay_lines=0)
            loop.run(foreground.leave(host, vm))
        else:
            loop.run(foreground.follow(host, vm, self._write, offset))

    def _write(self, data: bytes) -> None:
        self.app.stdout.buffer.write(data)
        self.app.stdout.flush()
