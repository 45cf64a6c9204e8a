"""``qemu help``."""

import argparse

from qemu_cli import external, helptext
from qemu_cli.command import Command
from qemu_cli.commandmanager import GroupAloneError, UnknownCommandError
from qemu_cli.errors import UsageError


class Help(Command):
    """Show all commands, the help of one or of a topic, or search.

    A word that is no command and no topic is looked for in the names and
    lines of all commands, and in the pages of all topics.
    """

    examples = (
        "qemu help",
        "qemu help start",
        "qemu help formats",
        "qemu help overlay    # what has to do with it?",
        "qemu help --all",
    )
    paged = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the command's words."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "-a",
            "--all",
            action="store_true",
            help="also topics, plug-ins, aliases and qemu-… on PATH",
        )
        parser.add_argument(
            "words",
            metavar="WORD",
            nargs="*",
            help="a command's words, a topic, or a word to look for",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Print it."""
        if parsed_args.words:
            return self._about(parsed_args.words)
        manager = self.app.command_manager
        aliases = self.app.aliases
        if parsed_args.all:
            text = helptext.everything(manager, aliases, external.every())
        else:
            text = helptext.overview(aliases)
        self.app.stdout.write(text)
        return 0

    def _about(self, words: list[str]) -> int:
        """A command comes first, then a topic, the user's own, a search."""
        manager = self.app.command_manager
        page = self._page(words)
        try:
            manager.find_command(words)
        except GroupAloneError:
            code = self.app.run_subcommand([*words, "--help"])
            self.app.stdout.write(page and f"\n{page}")
            return code
        except UnknownCommandError as unknown:
            if page:
                self.app.stdout.write(page)
                return 0
            aliases = self.app.aliases
            if words[0] in aliases:
                return self._alias(words[0], aliases[words[0]])
            if not external.find(words[0]):
                text = helptext.matches(manager, " ".join(words), aliases)
                if not text:
                    raise unknown
                self.app.stdout.write(text)
                return 0
        return self.app.run_subcommand([*words, "--help"])

    def _alias(self, name: str, text: str) -> int:
        """What it stands for, and the help of that."""
        self.app.stdout.write(f"{name} is an alias of yours: {text}\n")
        try:
            found = self.app.command_manager.find_command(text.split())
        except UsageError:  # a line for the shell, another alias …
            return 0
        self.app.stdout.write("\n")
        return self.app.run_subcommand([*found[1].split(), "--help"])

    def _page(self, words: list[str]) -> str:
        """The topic's page; empty when there is none."""
        from qemu_cli import manual

        topic = "-".join(words)
        if topic not in manual.TOPICS:
            return ""
        import shutil

        from qemu_cli.manual import text

        width = shutil.get_terminal_size().columns
        return text.render(manual.source(topic), width)
