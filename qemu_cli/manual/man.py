"""Man pages: ``qemu.1``, ``qemu-COMMAND.1`` and ``qemu-TOPIC.7``.

Made from what ``--help`` and ``qemu help`` are made from, in the macros of
man(7).
"""

import argparse
import re
from collections.abc import Iterator

from qemu_cli import __version__, extensions, manual
from qemu_cli.command import Command
from qemu_cli.commandmanager import NAMESPACE
from qemu_cli.commands import GROUPS
from qemu_cli.manual import blocks
from qemu_cli.manual.blocks import Block, Code, Heading, Items, Table

#: Sections of cliff's and argparse's parsers that say nothing by their name.
_PLAIN = {"options": "OPTIONS", "positional arguments": "ARGUMENTS"}


def pages(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """The file name and the text of each page.

    :param parser: that of ``qemu`` itself; like all parsers, it folds its
        usage at ``COLUMNS``
    """
    for name, text in _pages(parser):
        # Sections begin with a paragraph of their own.
        yield name, re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", text, flags=re.M)


def _pages(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    yield "qemu.1", _program(parser)
    for name, entry in extensions.own(NAMESPACE).items():
        words = name.replace("_", " ")
        page = words.replace(" ", "-")
        yield f"qemu-{page}.1", _command(words, extensions.load(entry))
    for topic, line in manual.TOPICS.items():
        yield f"qemu-{topic}.7", _topic(topic, line)


def _program(parser: argparse.ArgumentParser) -> str:
    parts = [
        _head("qemu", 1, (parser.description or "").rstrip(".")),
        _section("SYNOPSIS"),
        ".B qemu\n",
        "[OPTION…] COMMAND [ARGUMENT…]\n",
        _section("DESCRIPTION"),
        "The options of \\fBqemu\\fR itself come before the first word of "
        "the command.\n",
        *_options(parser),
        _section("COMMANDS"),
    ]
    for title, rows in GROUPS.items():
        parts.append(f".SS {_text(title)}\n")
        for words, line in rows.items():
            page = words.replace(" ", "-")
            parts.append(f".TP\n\\fBqemu {_text(words)}\\fR\n")
            parts.append(f"{_text(line)}; see\n.BR qemu-{_text(page)} (1)\n")
    parts.append(_section("TOPICS"))
    for topic, line in manual.TOPICS.items():
        parts.append(f".TP\n.BR qemu-{_text(topic)} (7)\n{_text(line)}\n")
    return "".join(parts)


def _command(words: str, command: type[Command]) -> str:
    parser = command(None, None).get_parser(f"qemu {words}")  # type: ignore[arg-type]
    usage = parser.format_usage().removeprefix("usage: ")
    title, _, rest = (parser.description or "").partition("\n")
    page = words.replace(" ", "-")
    parts = [
        _head(f"qemu-{page}", 1, title.rstrip(".")),
        _section("SYNOPSIS"),
        _literal(re.sub(r"^ {7}", "", usage, flags=re.M).splitlines()),
        _section("DESCRIPTION"),
        f"{_text(title)}\n",
        *map(_block, blocks.parse(rest)),
        *_options(parser),
        _section("EXAMPLES"),
        _literal(command.examples),
        _section("EXIT STATUS"),
        "0 when it was done; see\n.BR qemu\\-exit\\-codes (7).\n",
        _section("SEE ALSO"),
        ".BR qemu (1),\n.BR qemu\\-names (7),\n.BR qemu\\-formats (7)\n",
    ]
    return "".join(parts)


def _topic(topic: str, line: str) -> str:
    page = blocks.parse(manual.source(topic))
    next(page)  # its title is in the head
    return "".join(
        [
            _head(f"qemu-{topic}", 7, line),
            _section("DESCRIPTION"),
            *map(_block, page),
            _section("SEE ALSO"),
            ".BR qemu (1)\n",
        ]
    )


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    formatter = parser._get_formatter()
    for group in parser._action_groups:
        actions = [
            action
            for action in group._group_actions
            if action.help != argparse.SUPPRESS
        ]
        if not actions:
            continue
        title = group.title or ""
        yield _section(_PLAIN.get(title, title.upper()))
        for action in actions:
            name = formatter._format_action_invocation(action)
            about = formatter._expand_help(action) if action.help else ""
            yield f".TP\n\\fB{_text(name)}\\fR\n"
            yield f"{_text(about)}\n" if about else "\\&\n"


def _head(name: str, section: int, line: str) -> str:
    # No date: the same source gives the same page.
    return (
        f'.TH {_text(name.upper())} {section} "" "qemu\\-cli {__version__}" '
        f'"qemu"\n.SH NAME\n{_text(name)} \\- {_text(line)}\n'
    )


def _section(title: str) -> str:
    return f".SH {_text(title)}\n"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f".SS {_text(blocks.bare(block.text))}\n"
    if isinstance(block, Code):
        return _literal(block.lines)
    if isinstance(block, Items):
        return "".join(f".IP \\(bu 2\n{_marked(e)}\n" for e in block.items)
    if isinstance(block, Table):
        return "".join(map(_row, block.rows))
    return f".PP\n{_marked(block.text)}\n"


def _row(row: tuple[str, ...]) -> str:
    *left, last = (cell for cell in row if cell)
    tag = _marked("  ".join(left)) or "\\&"
    return f".TP\n{tag}\n{_marked(last)}\n"


def _literal(lines: tuple[str, ...] | list[str]) -> str:
    text = "\n".join(_text(line) for line in lines)
    return f".PP\n.RS 4\n.nf\n{text}\n.fi\n.RE\n"


def _marked(text: str) -> str:
    """A text whose `code` is bold."""
    parts = re.split(r"`([^`]*)`", text)
    plain = [_text(blocks.bare(part)) for part in parts]
    for number in range(1, len(plain), 2):
        plain[number] = f"\\fB{plain[number]}\\fR"
    return "".join(plain)


def _text(text: str) -> str:
    """What roff takes for itself, escaped."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = text.replace("~", "\\(ti").replace("^", "\\(ha")
    text = text.replace("'", "\\(aq").replace("`", "\\(ga")
    return re.sub(r"^\.", r"\\&.", text, flags=re.MULTILINE)
