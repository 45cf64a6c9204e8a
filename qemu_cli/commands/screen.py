"""qemu screenshot, send-key, type and view."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.command import Command

if TYPE_CHECKING:
    from qemu_cli.instance.vm import VM


class _OnOne(Command):
    """A command on the screen or the keyboard of one VM."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the VM")
        return parser

    def vm(self, args: argparse.Namespace) -> "VM":
        from qemu_cli.instance import resolve

        return resolve.anyone(self.app.host, args.name)


class Screenshot(_OnOne):
    """Write what is on a VM's screen to a PNG file; print its name.

    It needs no viewer, and the guest does not notice.
    """

    examples = ("qemu screenshot web", "qemu screenshot web boot.png --force")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "file",
            metavar="FILE",
            nargs="?",
            type=Path,
            help="the file, or its directory (default: the VM's name and "
            "the time, here)",
        )
        parser.add_argument(
            "--force", action="store_true", help="replace a file"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.instance import screen

        vm = self.vm(parsed_args)
        file = parsed_args.file or screen.default_file(vm)
        force = parsed_args.force
        host = self.app.host_of(vm)
        done = loop.run(screen.shoot(host, vm, file, force=force))
        self.app.stdout.write(f"{done}\n")


class SendKey(_OnOne):
    """Press keys on a VM's keyboard, one combination after the other.

    A combination has dashes between its keys; they are called as in
    QEMU ('qemu qmp NAME --help-command send-key'), and as people do: del,
    enter, esc.
    """

    examples = ("qemu send-key web ctrl-alt-f2", "qemu send-key web esc f2")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "keys", metavar="KEY", nargs="+", help="such as ctrl-alt-delete"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.instance import screen

        vm = self.vm(parsed_args)
        host = self.app.host_of(vm)
        loop.run(screen.press(host, vm, parsed_args.keys))


class Type(_OnOne):
    r"""Type a text on a VM's keyboard.

    Its layout is that of the United States, and the guest must expect
    that.  The return key is pressed where the text has a line's end.
    """

    examples = (
        "qemu type web 'root' --enter",
        "qemu type web < commands.txt",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "text",
            metavar="TEXT",
            nargs="?",
            help="the text (default: what stdin has)",
        )
        parser.add_argument(
            "--enter", action="store_true", help="press return afterwards"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.instance import screen

        vm = self.vm(parsed_args)
        text = parsed_args.text
        if text is None:
            text = self.app.stdin.read()
        text += "\n" * parsed_args.enter
        loop.run(screen.write(self.app.host_of(vm), vm, text))


class View(_OnOne):
    """Show a VM's screen in a window.

    That takes a VNC viewer, or one for SPICE if that is what the VM serves;
    --print names the place for another one.
    """

    examples = ("qemu view web", "qemu view web --print")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--print",
            dest="only_print",
            action="store_true",
            help="only print where the screen is",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.instance import viewers

        found = viewers.of_vm(self.vm(parsed_args))
        if parsed_args.only_print:
            self.app.stdout.write(f"{found.uri}\n")
        else:
            viewers.show(found)
