"""qemu edit."""

import argparse
import functools
from typing import TYPE_CHECKING

from qemu_cli.command import Command
from qemu_cli.command.changes import tell

if TYPE_CHECKING:
    from qemu_cli.instance.redefine import Redefined
    from qemu_cli.instance.vm import VM


class Edit(Command):
    """Edit a VM's definition, its instance.toml.

    The editor is the setting core.editor, else $VISUAL, $EDITOR or vi.  The
    text is checked before it replaces the old one; when something is wrong
    with it, it can be edited again, and is never lost.  This also repairs
    a broken definition.
    """

    examples = (
        "qemu edit web",
        "EDITOR=nano qemu edit web",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument(
            "-y",
            "--yes",
            action="store_true",
            help="throw away a saved state without asking",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import editor
        from qemu_cli.instance import definitions, redefine
        from qemu_cli.instance.resolve import resolve

        host, ui = self.app.host, self.app.ui
        vm = resolve(host.paths, parsed_args.name, probe=host.probe)
        before = definitions.read(vm.paths.definition)
        draft = vm.paths.draft
        if redefine.draft_is_usable(vm.paths):
            ui.say(f"going on with your text in {draft}")
        else:
            draft.write_text(before, encoding="utf-8")
        done = editor.revise(
            self.app,
            draft,
            before,
            lambda text: self._replace(vm, before, text, parsed_args.yes),
            what=f"the definition of '{vm.name}'",
            again=f"qemu edit {vm.name}",
        )
        if done is None:
            ui.say(f"{vm.name}: nothing has changed")
        else:
            tell(ui, vm.name, done)

    def _replace(
        self, vm: "VM", before: str, text: str, yes: bool
    ) -> "Redefined":
        from qemu_cli.command import loop
        from qemu_cli.instance import redefine

        return loop.run(
            redefine.replace(
                self.app.host_of(vm),
                vm,
                before,
                text,
                confirm=functools.partial(self.app.ui.confirm, yes=yes),
            )
        )
