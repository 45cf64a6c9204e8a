"""What a page of the documentation has its reader type.

Comments, which no reader sees, say what a test needs to know::

    <!-- first: SHELL -->             done before the next block
    <!-- first (TEXT): SHELL -->      before the line in it that has the text
    <!-- not run: WHY -->             of all of the next block
    <!-- not run (TEXT): WHY -->      of the lines in it that have the text
    <!-- needs: DISTRIBUTION -->      the next block wants this plug-in; as
                                      the first line: the whole page does

A block is ``console`` (lines after ``$``, and what they print) or ``sh`` (a
script, which is run as one).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PART = re.compile(
    r"^<!-- (?P<what>first|not run|needs)(?: \((?P<text>.*?)\))?:"
    r"\s+(?P<say>.*?) -->"
    r"|^```(?P<kind>console|sh)\n(?P<block>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


class Line(NamedTuple):
    """One thing that is typed.

    :param shown: what the page shows of its output
    :param why_not: why it is not run; None: it is
    :param hidden: the reader does not see it
    :param needs: the plug-in (a distribution) without which it can't be run
    """

    typed: str
    shown: tuple[str, ...] = ()
    why_not: str | None = None
    hidden: bool = False
    needs: str | None = None


def lines(page: Path) -> Iterator[Line]:
    """All that is typed in a page, from its top to its end."""
    first: list[tuple[str, str]] = []
    why_not: list[tuple[str, str]] = []
    of_page = needs = None
    for part in _PART.finditer(page.read_text()):
        text, say = part["text"] or "", part["say"]
        if part["what"] == "needs":
            needs = say
            if part.start() == 0:
                of_page = say
        elif part["what"] == "first":
            first.append((text, say))
        elif part["what"]:
            why_not.append((text, " ".join(say.split())))
        else:
            for line in _block(part["kind"], part["block"]):
                for each in [each for each in first if each[0] in line.typed]:
                    first.remove(each)
                    yield Line(each[1], hidden=True, needs=needs)
                reasons = [why for text, why in why_not if text in line.typed]
                yield line._replace(
                    why_not=next(iter(reasons), None), needs=needs
                )
            first, why_not, needs = [], [], of_page


def _block(kind: str, text: str) -> Iterator[Line]:
    if kind == "sh":
        yield Line(text)
        return
    for each in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        # A line goes on below when it ends in a backslash.
        typed = re.match(r"(?:.*\\\n)*.*\n", each)
        assert typed
        yield Line(typed[0].strip(), tuple(each[typed.end() :].splitlines()))


_SAME = (
    (r"(?:/[\w.@+-]+)+/(instances|run|qemu-cli)\b", r"/…/\1"),
    (r"/…/run/web/", "/…/qemu-cli/web/"),
    (r"52:54:00(:[0-9a-f]{2}){3}", "MAC"),
    (r"\d+(\.\d+)?\s?(ms|s|B|[KMGT]iB)\b", "N"),
    (r"\d+(m|h|d)\b", "N"),
    (r"\d+([.,:-]\d+)*", "N"),
    (r"\bada\b|\broot\b", "USER"),
    (r"/\S+/([\w-]+\.(iso|qcow2))", r"\1"),
    (r"\s+", " "),
)


def same(line: str) -> str:
    """A line of output without what is different each time."""
    for pattern, instead in _SAME:
        line = re.sub(pattern, instead, line)
    return line.strip()
