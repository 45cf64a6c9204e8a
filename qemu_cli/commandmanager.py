"""Finds the command for the typed words, and imports only that one.

cliff's own manager imports every command of every plug-in at each run,
accepts unique prefixes, and swallows plug-ins that fail to import.
"""

from importlib.metadata import EntryPoint

import cliff.commandmanager
from cliff.command import Command

from qemu_cli import extensions
from qemu_cli.errors import UsageError
from qemu_cli.suggest import did_you_mean

NAMESPACE = "qemu_cli.commands"

#: The first words of what our own plug-ins add, for who lacks them.
IN_PLUGINS = {
    "qemu-cli-guest": [
        *("cp", "exec", "forward", "guest", "net"),
        *("share", "ssh", "ssh-config"),
    ],
    "qemu-cli-top": ["top"],
}


class UnknownCommandError(UsageError):
    """The words typed are no command, neither ours nor a plug-in's."""


class GroupAloneError(UsageError):
    """The words typed only begin commands, such as ``snapshot``.

    :param words: what was typed
    """

    def __init__(self, words: str) -> None:
        super().__init__(f"{words}: what to do?")
        self.words = words


class CommandManager(cliff.commandmanager.CommandManager):
    """The commands: ours at once, those of plug-ins when they are needed.

    A plug-in can't replace a command of ours.
    """

    commands: dict[str, EntryPoint]  # type: ignore[assignment]

    def __init__(self) -> None:
        self._foreign: dict[str, list[EntryPoint]] | None = None
        super().__init__(NAMESPACE)

    def load_commands(self, namespace: str) -> None:
        """Take the entry points of our own distribution."""
        self.group_list.append(namespace)
        for entry in extensions.own(namespace).values():
            self.commands[_words(entry)] = entry

    def add_command(self, name: str, command_class: type[Command]) -> None:
        """Do nothing: commands come from entry points.

        cliff offers its own ``help`` and ``complete`` here.
        """

    @property
    def foreign(self) -> dict[str, list[EntryPoint]]:
        """The commands of plug-ins, and who has them; none is imported.

        What has the name of a command of ours is not among them.
        """
        if self._foreign is None:
            self._foreign = {}
            for entry in extensions.foreign(NAMESPACE):
                words = _words(entry)
                if words not in self.commands:
                    self._foreign.setdefault(words, []).append(entry)
        return self._foreign

    def find_command(
        self, argv: list[str]
    ) -> tuple[type[Command], str, list[str]]:
        """Find the longest run of words that is a command.

        :return: the class, its words, and what follows them
        :raise UnknownCommandError: there is none
        :raise GroupAloneError: more words are needed
        :raise PluginError: it can't be imported, or two plug-ins have it
        """
        if found := self.lookup(argv):
            return found
        raise self.unknown(argv)

    def lookup(
        self, argv: list[str]
    ) -> tuple[type[Command], str, list[str]] | None:
        """Find it as :meth:`find_command` does; None: there is none.

        :raise GroupAloneError: more words are needed
        :raise PluginError: it can't be imported, or two plug-ins have it
        """
        last = self._get_last_possible_command_index(argv)
        for count in range(last, 0, -1):
            words = " ".join(argv[:count])
            if words in self.commands:
                return self.load(words), words, argv[count:]
        # Only now are the other distributions looked at.
        for count in range(last, 0, -1):
            words = " ".join(argv[:count])
            if words in self.foreign:
                return self.load(words), words, argv[count:]
        if self.group(words := " ".join(argv[:last])):
            raise GroupAloneError(words)
        return None

    def unknown(self, argv: list[str]) -> UnknownCommandError:
        """What to say of words that are no command."""
        last = self._get_last_possible_command_index(argv)
        for count in range(last - 1, 0, -1):
            words = " ".join(argv[:count])
            if members := self.group(words):
                can = [each.removeprefix(f"{words} ") for each in members]
                return UnknownCommandError(
                    f"{' '.join(argv[: count + 1])!r} is not a qemu command",
                    hint=self._in_missing_plugin(argv[0])
                    or did_you_mean(argv[count], can)
                    or f"'qemu {words}' can: {', '.join(can)}",
                )
        return UnknownCommandError(
            f"{argv[0]!r} is not a qemu command",
            hint=self._disabled(argv[: last or 1])
            or self._in_missing_plugin(argv[0])
            or did_you_mean(
                argv[0],
                {each.split()[0] for each in [*self.commands, *self.foreign]},
            )
            or "'qemu help' lists all commands",
        )

    def _disabled(self, argv: list[str]) -> str | None:
        """What to do if a disabled plug-in has the command."""
        for count in range(len(argv), 0, -1):
            name = "_".join(argv[:count])
            if entry := extensions.disabled(NAMESPACE, name):
                return extensions.enable_hint(entry)
        return None

    def _in_missing_plugin(self, word: str) -> str | None:
        """What to install, if a plug-in of ours has the command."""
        nouns = {words.split()[0] for words in self.foreign}
        for plugin, theirs in IN_PLUGINS.items():
            if word in theirs and nouns.isdisjoint(theirs):
                return f"it is in the plug-in {plugin}: not installed"
        return None

    def group(self, words: str) -> list[str]:
        """The commands that begin with these words, such as a noun's."""
        everything = sorted({*self.commands, *self.foreign})
        return [each for each in everything if each.startswith(f"{words} ")]

    def load(self, words: str) -> type[Command]:
        """Import one command by its exact words.

        :raise PluginError: it can't be imported, or two plug-ins have it
        """
        entry = self.commands.get(words) or self._only_foreign(words)
        command: type[Command] = extensions.load(entry)
        return command

    def _only_foreign(self, words: str) -> EntryPoint:
        candidates = self.foreign[words]
        if len(candidates) > 1:
            raise extensions.clash(words, candidates)
        return candidates[0]


def _words(entry: EntryPoint) -> str:
    return entry.name.replace("_", " ")
