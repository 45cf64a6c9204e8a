"""qemu rename."""

import argparse

from qemu_cli.command import Command


class Rename(Command):
    """Give a stopped VM another name.

    Its disks, logs, history and saved state go along, and clones whose
    disks stand on its disks are told.
    """

    examples = ("qemu rename web www",)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument("new", metavar="NEW", help="its new name")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only print what would be done",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.instance import rename
        from qemu_cli.instance.resolve import resolve

        host = self.app.host
        vm = resolve(host.paths, parsed_args.name, probe=host.probe)
        plan = loop.run(
            rename.rename(
                self.app.host_of(vm),
                vm,
                parsed_args.new,
                dry_run=parsed_args.dry_run,
            )
        )
        if parsed_args.dry_run:
            self.app.stdout.writelines(f"{line}\n" for line in plan.describe())
        else:
            self.app.ui.say(f"{vm.name}: its name is {parsed_args.new} now")
