"""A page of the manual for a terminal."""

import textwrap
from collections.abc import Iterator, Sequence

from qemu_cli.manual import blocks
from qemu_cli.manual.blocks import Block, Code, Heading, Items, Table, bare


def render(markdown: str, width: int) -> str:
    """A page as plain text.

    :param width: how many columns there are; 100 at most are used
    """
    width = min(width, 100)
    parts = [
        "\n".join(_lines(block, width)) for block in blocks.parse(markdown)
    ]
    return "\n\n".join(parts) + "\n"


def _lines(block: Block, width: int) -> Iterator[str]:
    if isinstance(block, Heading):
        text = bare(block.text)
        yield text.upper() if block.level == 1 else text
    elif isinstance(block, Code):
        yield from (f"    {line}".rstrip() for line in block.lines)
    elif isinstance(block, Items):
        for item in block.items:
            yield from _wrap(bare(item), width, "- ")
    elif isinstance(block, Table):
        yield from _table(block, width)
    else:
        yield from _wrap(bare(block.text), width, "")


def _wrap(text: str, width: int, bullet: str) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_on_hyphens=False,
        break_long_words=False,
    )


def _table(table: Table, width: int) -> Iterator[str]:
    """Columns, the last of them wrapped; what has no room goes below."""
    rows = [[bare(cell) for cell in row] for row in table.rows]
    used = [n for n, name in enumerate(table.header) if _any(rows, n)]
    *left, last = used
    widths = [max(len(row[n]) for row in rows) for n in left]
    indent = sum(widths) + 2 * len(widths)
    beside = width - indent >= 36
    for row in rows:
        cells = (f"{row[n]:{w}}  " for n, w in zip(left, widths, strict=True))
        if beside:
            lines = _wrap(row[last], width - indent, "") or [""]
            yield ("".join(cells) + lines[0]).rstrip()
            yield from (" " * indent + line for line in lines[1:])
        else:
            yield "  ".join(row[n] for n in left if row[n])
            yield from (f"    {e}" for e in _wrap(row[last], width - 4, ""))


def _any(rows: Sequence[Sequence[str]], column: int) -> bool:
    return any(row[column] for row in rows)
