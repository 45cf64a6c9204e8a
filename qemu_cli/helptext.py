"""What ``qemu help`` says, put together from the commands themselves."""

from collections.abc import Iterable, Iterator

from qemu_cli.commandmanager import CommandManager
from qemu_cli.commands import GROUPS
from qemu_cli.errors import PluginError

#: The line of each command of ours.
LINES = {
    word: line for group in GROUPS.values() for word, line in group.items()
}

_USAGE = "usage: qemu [OPTION…] COMMAND [ARGUMENT…]\n"
_MORE = (
    "\n'qemu help WORD' tells more about a command or a topic, or finds "
    "some;\n'qemu help --all' lists topics and plug-ins, too.\n"
)


def overview(aliases: dict[str, str]) -> str:
    """Our commands, by what they are for, and the user's own."""
    parts = [_USAGE]
    parts += (_table(title, rows.items()) for title, rows in GROUPS.items())
    parts.append(_table("Aliases of yours", aliases.items()))
    return "".join(parts) + _MORE


def everything(
    manager: CommandManager, aliases: dict[str, str], executables: list[str]
) -> str:
    """The same, and what plug-ins and the user have added."""
    from qemu_cli.manual import TOPICS

    parts = [overview(aliases).removesuffix(_MORE)]
    parts.append(_table("Topics", TOPICS.items()))
    parts.append(_section("Of plug-ins", manager, sorted(manager.foreign)))
    parts.append(
        _table(
            "Programs on PATH", ((e, f"runs qemu-{e}") for e in executables)
        )
    )
    return "".join(parts)


def group(manager: CommandManager, words: str) -> str:
    """The commands that begin with these words."""
    usage = f"usage: qemu {words} COMMAND [ARGUMENT…]\n"
    members = manager.group(words)
    return usage + _section("Commands", manager, members)


def matches(
    manager: CommandManager, word: str, aliases: dict[str, str]
) -> str:
    """All commands, topics and aliases that a word is found in.

    :return: empty when there are none
    """
    from qemu_cli.manual import TOPICS, source

    wanted = word.lower()

    def found(rows: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        return [r for r in rows if wanted in " ".join(r).lower()]

    pages = [
        (topic, line)
        for topic, line in TOPICS.items()
        if wanted in f"{topic} {line} {source(topic)}".lower()
    ]
    commands = found([*LINES.items(), *_summaries(manager, manager.foreign)])
    return (
        _table("Commands", commands)
        + _table("Topics", pages)
        + _table("Aliases", found(aliases.items()))
    ).removeprefix("\n")


def _section(title: str, manager: CommandManager, words: Iterable[str]) -> str:
    return _table(title, _summaries(manager, words))


def _summaries(
    manager: CommandManager, words: Iterable[str]
) -> Iterator[tuple[str, str]]:
    for each in words:
        if each in LINES:
            yield each, LINES[each]
            continue
        try:
            command = manager.load(each)
        except PluginError as error:
            yield each, f"(broken) {error}"
            continue
        doc = (command.__doc__ or "").strip()
        yield each, doc.partition("\n")[0].rstrip(".")


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = list(rows)
    if not lines:
        return ""
    left = max(len(word) for word, _ in lines)
    text = "".join(f"  {word:{left}}  {doc}\n" for word, doc in lines)
    return f"\n{title}\n{text}"
