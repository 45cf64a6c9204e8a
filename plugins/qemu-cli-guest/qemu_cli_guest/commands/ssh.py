"""qemu ssh, qemu ssh-config."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.command import Command, Parser
from qemu_cli.errors import QemuCliError
from qemu_cli.units import parse_duration

if TYPE_CHECKING:
    from qemu_cli_guest.ssh import Server

#: It was not the program in the guest that failed.
OUR_FAILURE = 125


class _Ssh(Command):
    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument(
            "-l",
            "--user",
            metavar="USER",
            help="log in as (default: plugin.guest.ssh_user, or ssh's own)",
        )
        parser.add_argument(
            "-i",
            "--key",
            type=Path,
            metavar="FILE",
            help="private key (default: plugin.guest.ssh_key, or ssh's own)",
        )
        return parser

    def server(
        self, args: argparse.Namespace, timeout_s: float | None
    ) -> "Server":
        """Find the guest's server, and wait for it if there is a time."""
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli_guest import ssh

        vm = resolve.anyone(self.app.host, args.name)
        host = self.app.host_of(vm)

        async def work() -> "Server":
            wish = ssh.Wish(args.user, args.key)
            server = await ssh.find(host, vm, wish)
            if timeout_s is not None:
                await ssh.wait(server, timeout_s)
            return server

        return loop.run(work())


class Ssh(_Ssh):
    """Log in to a guest with ssh, or run a command there.

    Finds the forwarded port or the guest's address, waits until its server
    answers, and becomes ssh(1): its exit code is the command's, or 255.
    What goes wrong before that is 125.  The guest's host key is kept
    beside the instance.
    """

    examples = (
        "qemu ssh web",
        "qemu ssh web -l root -- journalctl -f",
        "qemu set web plugin.guest.ssh_user=debian",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        assert isinstance(parser, Parser)  # noqa: S101
        parser.pass_on(
            "argv",
            metavar="CMD",
            help="a command line for the guest's shell, behind --",
        )
        parser.add_argument(
            "--timeout",
            type=parse_duration,
            default=60.0,
            metavar="TIME",
            help="wait so long for its server (default: 60s)",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Tell an error of ours from one of ssh's."""
        try:
            return super().run(parsed_args)
        except QemuCliError as error:
            self.app.ui.error(str(error))
            if error.hint:
                self.app.ui.hint(error.hint)
            return OUR_FAILURE

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.external import replace_us

        server = self.server(parsed_args, parsed_args.timeout)
        program, *rest = server.argv(parsed_args.argv)
        if not parsed_args.argv:
            rest.pop()  # the -- in front of a command
        self.app.stdout.flush()
        replace_us(program, rest)


class SshConfig(_Ssh):
    """Print how ssh, scp, rsync and others reach a guest.

    It is a block for ~/.ssh/config, or for ssh -F.
    """

    examples = (
        "qemu ssh-config web >>~/.ssh/config",
        "qemu ssh-config web --user root",
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli_guest import ssh

        server = self.server(parsed_args, None)
        self.app.stdout.write(ssh.config(server))
