"""``qemu completion``."""

import argparse

from qemu_cli.command import Command

_SHELLS = ("bash", "zsh", "fish")


class Completion(Command):
    """Print a script that completes 'qemu' in a shell.

    It completes commands, options, formats, settings, and the names of
    VMs, disks, snapshots and exports.  Packages install it; otherwise:

      bash  eval "$(qemu completion bash)"     in ~/.bashrc
      zsh   eval "$(qemu completion zsh)"      in ~/.zshrc, after compinit
      fish  qemu completion fish | source      in ~/.config/fish/config.fish

    VM names are found by the shell, without running this program.  The
    commands of plug-ins are in it when they are installed before.
    """

    examples = (
        "qemu completion bash > ~/.bash_completion",
        "qemu completion zsh > ~/.zfunc/_qemu",
        "qemu completion fish > ~/.config/fish/completions/qemu.fish",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the shell."""
        parser = super().get_parser(prog_name)
        parser.add_argument("shell", metavar="SHELL", choices=_SHELLS)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write it, made from the commands that there are."""
        from qemu_cli import completion

        foreign = self.app.command_manager.foreign
        script = completion.script(parsed_args.shell, self.app.parser, foreign)
        self.app.stdout.write(script)
