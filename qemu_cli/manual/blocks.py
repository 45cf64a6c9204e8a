"""As much of Markdown as the manual uses, read into blocks."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from qemu_cli.manual import generated

_FENCE = re.compile(r"^```(\S*)$")
_DIRECTIVE = re.compile(r"^\{program-([a-z-]+)\}$")
_ITEM = re.compile(r"^[-*] ")


class Heading(NamedTuple):
    """A line of its own, 1 for the page's title."""

    level: int
    text: str


class Paragraph(NamedTuple):
    """Text that is wrapped."""

    text: str


class Code(NamedTuple):
    """Lines that stay as they are."""

    lines: tuple[str, ...]


class Items(NamedTuple):
    """A list."""

    items: tuple[str, ...]


class Table(NamedTuple):
    """Rows of cells."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Heading | Paragraph | Code | Items | Table


def parse(
    markdown: str,
    made: Callable[[str], str] = generated.make,
) -> Iterator[Block]:
    """Read a page; what the program can tell is filled in.

    :param made: gives the Markdown of ``{program-NAME}``
    """
    lines = markdown.splitlines()
    while lines:
        line = lines.pop(0)
        if not line.strip():
            continue
        if fence := _FENCE.match(line):
            inside = _until(lines, lambda each: each == "```")
            lines[:1] = []
            if directive := _DIRECTIVE.match(fence[1]):
                yield from parse(made(directive[1]), made)
            else:
                yield Code(tuple(inside))
        elif line.startswith("#"):
            marks, _, text = line.partition(" ")
            yield Heading(len(marks), text)
        elif line.startswith("|"):
            inside = [line, *_until(lines, lambda e: not e.startswith("|"))]
            header, _, *rows = map(_cells, inside)
            yield Table(header, tuple(rows))
        elif line.startswith(" "):
            inside = [line, *_until(lines, lambda e: not e.startswith(" "))]
            yield Code(tuple(inside))
        elif _ITEM.match(line):
            inside = [line, *_until(lines, lambda e: not e.strip())]
            joined = "\n".join(inside)
            items = re.split(r"^[-*] ", joined, flags=re.MULTILINE)[1:]
            yield Items(tuple(" ".join(each.split()) for each in items))
        else:
            inside = [line, *_until(lines, _ends_a_paragraph)]
            yield Paragraph(" ".join(map(str.strip, inside)))


def bare(text: str) -> str:
    """A text without marks: backquotes, links and asterisks."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\*+([^*\s][^*]*)\*+", r"\1", text)
    return text.replace("`", "").replace("\\|", "|")


def _until(lines: list[str], ends: Callable[[str], bool]) -> list[str]:
    """Take lines up to the one that ends it, which is left."""
    taken = []
    while lines and not ends(lines[0]):
        taken.append(lines.pop(0))
    return taken


def _ends_a_paragraph(line: str) -> bool:
    return not line.strip() or bool(
        _FENCE.match(line) or _ITEM.match(line) or line[0] in "#|"
    )


def _cells(line: str) -> tuple[str, ...]:
    parts = re.split(r"(?<!\\)\|", line.strip()[1:-1])
    return tuple(part.strip() for part in parts)
