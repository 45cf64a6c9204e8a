"""qemu set."""

import argparse
import functools

from qemu_cli.command import Command
from qemu_cli.command.changes import tell


class Set(Command):
    """Change keys of a VM's definition.

    A key is a path into its instance.toml, such as machine.memory_mib,
    disks.disk0.cache or plugin.NAME.KEY, or one of the words below.
    KEY= alone removes a key.  All is checked before the file is replaced;
    what a running VM is made of changes with its next start.
    """

    examples = (
        "qemu set web memory=2G cpus=2",
        "qemu set web forward+=2222:22",
        "qemu set web disks.disk0.cache=none config.shutdown.timeout=3m",
    )

    def get_epilog(self) -> str:
        from qemu_cli.instance.short_keys import SHORT

        words = [f"{word:9} {meaning}" for word, meaning in SHORT.items()]
        keys = "\n  ".join(("short keys:", *words))
        return f"{keys}\n\n{super().get_epilog()}"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument(
            "assignments",
            nargs="+",
            metavar="KEY=VALUE",
            help="what it is to be; lists also take += and -=",
        )
        parser.add_argument(
            "-y",
            "--yes",
            action="store_true",
            help="throw away a saved state without asking",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only check, and print what would change",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.instance import keys, redefine
        from qemu_cli.instance.resolve import resolve

        host = self.app.host
        assignments = [
            keys.parse_assignment(text) for text in parsed_args.assignments
        ]
        vm = resolve(host.paths, parsed_args.name, probe=host.probe)
        done = loop.run(
            redefine.assign(
                self.app.host_of(vm),
                vm,
                assignments,
                confirm=functools.partial(
                    self.app.ui.confirm, yes=parsed_args.yes
                ),
                dry_run=parsed_args.dry_run,
            )
        )
        tell(self.app.ui, vm.name, done)
