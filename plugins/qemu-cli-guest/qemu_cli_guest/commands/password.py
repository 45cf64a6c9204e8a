"""qemu guest set-password."""

import argparse
import sys
from pathlib import Path

from qemu_cli.command import Command
from qemu_cli.errors import NotFoundError, QemuCliError, UsageError


class GuestSetPassword(Command):
    """Give a user of a guest another password.

    It is asked for twice on a terminal, and read from stdin without one;
    one newline at its end is not part of it.  It stands in no command
    line, log or history.
    """

    examples = (
        "qemu guest set-password web root",
        "qemu guest set-password web root --file secret.txt",
        "pwgen 20 1 | qemu guest set-password web root",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument("user", metavar="USER", help="who has it")
        parser.add_argument(
            "--file",
            type=Path,
            metavar="FILE",
            help="read it from a file; - is stdin",
        )
        parser.add_argument(
            "--crypted",
            action="store_true",
            help="it is a hash, as in the guest's /etc/shadow",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.instance import inside, resolve

        vm = resolve.anyone(self.app.host, parsed_args.name)
        host = self.app.host_of(vm)
        inside.check_can_hear(vm)
        user = parsed_args.user
        password = self._password(parsed_args, f"{vm.name}: {user}")

        async def work() -> None:
            async with inside.agent(host, vm) as agent:
                await agent.set_password(
                    user, password, crypted=parsed_args.crypted
                )

        loop.run(work())
        self.app.ui.say(f"{vm.name}: {user} has another password")

    def _password(self, args: argparse.Namespace, who: str) -> bytes:
        if args.file and str(args.file) != "-":
            try:
                text: bytes = args.file.read_bytes()
            except FileNotFoundError:
                raise NotFoundError(f"there is no file {args.file}") from None
        elif args.file or not self.app.ui.interactive:
            text = sys.stdin.buffer.read()
        else:
            text = _asked(who)
        text = text.removesuffix(b"\n")
        if not text or b"\n" in text:
            raise UsageError("a password is one line, and not empty")
        return text


def _asked(who: str) -> bytes:
    import getpass

    first = getpass.getpass(f"new password of {who}: ")
    if getpass.getpass("once more: ") != first:
        raise QemuCliError("they are not the same; nothing was changed")
    return first.encode()
