"""qemu exec."""

import argparse
import sys

from qemu_cli.command import Command, Parser
from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.units import parse_duration

#: What env(1), docker and ssh say, too, when it was not the program.
OUR_FAILURE = 125


class Exec(Command):
    """Run a program in a guest, through its agent.

    What comes on stdin goes to the program, and what it writes comes out
    while it runs; its exit code is ours.  125 is a failure of this program,
    and 128 and more the signal that ended the one in the guest.  Ctrl-C
    ends it.  There is no shell and no terminal: say sh -c for the one, and
    see 'qemu ssh' for the other.

    Until it is read, output lies in files in the guest's /tmp.  Where no
    agent runs, ssh is used if the guest has a server (see 'qemu ssh').
    """

    examples = (
        "qemu exec web -- uname -a",
        "tar -c site | qemu exec web -- tar -x -C /srv",
        "qemu exec web --timeout 10s --env LANG=C -- sh -c 'df | tail -1'",
        "qemu exec web --detach -- /opt/job --nightly",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        assert isinstance(parser, Parser)  # noqa: S101
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.pass_on(
            "argv",
            metavar="CMD",
            help="a program in the guest and its arguments, behind --",
        )
        parser.add_argument(
            "--timeout",
            type=parse_duration,
            metavar="TIME",
            help="end it when it takes longer (default: never)",
        )
        parser.add_argument(
            "--env",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="add to its environment (repeatable)",
        )
        parser.add_argument(
            "-n",
            "--no-stdin",
            action="store_true",
            help="it gets no input: for loops that read stdin themselves",
        )
        parser.add_argument(
            "--detach",
            action="store_true",
            help="only start it, and print its pid in the guest; what it "
            "writes is lost",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Tell an error of ours from one of the program's."""
        from qemu_cli_guest import exec as service

        if not parsed_args.argv:
            raise UsageError(
                "no command to run", hint="qemu exec NAME -- CMD ARGUMENT…"
            )
        service.check_environment(parsed_args.env)
        try:
            return super().run(parsed_args)
        except QemuCliError as error:
            self.app.ui.error(str(error))
            if error.hint:
                self.app.ui.hint(error.hint)
            return OUR_FAILURE

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli_guest import exec as service
        from qemu_cli_guest import fallback
        from qemu_cli_guest.agent.run import Program
        from qemu_cli_guest.agent.stdio import Input, Nothing, Output

        vm = resolve.anyone(self.app.host, parsed_args.name)
        host = self.app.host_of(vm)
        program = Program(parsed_args.argv, parsed_args.env)
        if parsed_args.detach:
            pid = loop.run(service.detach(host, vm, program))
            self.app.stdout.write(f"{pid}\n")
            return 0
        silent = parsed_args.no_stdin or sys.stdin.isatty()
        return loop.run(
            fallback.run(
                host,
                vm,
                program,
                Nothing() if silent else Input(sys.stdin.fileno()),
                Output(sys.stdout.fileno()),
                Output(sys.stderr.fileno()),
                timeout_s=parsed_args.timeout,
            )
        )
