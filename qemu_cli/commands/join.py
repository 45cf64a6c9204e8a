"""qemu join and leave."""

import argparse
from collections.abc import Sequence
from typing import Any

from qemu_cli.command import Command, ShowOne


class Join(ShowOne):
    """Give a VM that somebody else started a name, and begin its log.

    From then on it goes by that name in all commands, and 'qemu log' tells
    what was done to it with them.  The VM itself is not touched, nor even
    connected to.  The name is gone when its QEMU ends.
    """

    examples = (
        "qemu join pid:4711 --name web",
        "qemu join lima:default",
        "qemu join qmp:/run/web/qmp.sock --name web -f json",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "reference",
            metavar="REF",
            help="a VM: its name, pid:N, qmp:ADDRESS or ORIGIN:NAME",
        )
        parser.add_argument(
            "--name",
            metavar="NAME",
            help="what to call it (default: its own name, made valid and "
            "unique)",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        if parsed_args.formatter or parsed_args.columns:
            self.formatter(parsed_args)  # not misspelt, before the deed
            return super().run(parsed_args)
        name, _, pid, origin, own = self._join(parsed_args).values()
        also = "" if own == name else f", '{own}'"
        self.app.ui.say(f"{name}: joined (pid {pid}, {origin}{also})")
        return 0

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        done = self._join(parsed_args)
        return list(done), list(done.values())

    def _join(self, args: argparse.Namespace) -> dict[str, Any]:
        from qemu_cli.instance import resolve
        from qemu_cli.instance.discovery import joined
        from qemu_cli.instance.names import check_name

        host = self.app.host
        name = None if args.name is None else check_name(args.name)
        vm = resolve.anyone(host, args.reference, ask=False)
        done = joined.join(host.paths, vm, name, command=host.who)
        return {
            "name": done.name,
            "joined": True,
            "pid": done.pid,
            "origin": vm.origin,
            "own_name": done.own_name,
        }


class Leave(Command):
    """Undo 'qemu join': forget the name and the log of a VM.

    The VM runs on as it did.  Its log is removed.
    """

    examples = ("qemu leave web",)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "reference", metavar="NAME", help="a VM that was joined"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.instance import resolve
        from qemu_cli.instance.discovery import joined

        host = self.app.host
        vm = resolve.anyone(host, parsed_args.reference, ask=False)
        joined.leave(host.paths, vm)
        own = vm.foreign.name if vm.foreign else vm.name
        self.app.ui.say(
            f"{vm.name}: left; it is '{own}' again ({vm.reference})"
        )
