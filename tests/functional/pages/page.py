"""What a page of the documentation has its reader type.

Comments, which no reader sees, say what a test needs to know::

    <!-- first: SHELL -->             done before the next block
    <!-- first (TEXT): SHELL -->      before the line in it that has the text
    <!-- not run: WHY -->             of all of the next block
    <!-- not run (TEXT): WHY -->      of the lines in it that have the text
    <!-- needs: DISTRIBUTION -->      the page is that of a plug-in

A block is ``console`` (lines after ``$``, and what they print) or ``sh`` (a
script, which is run as one).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PART = re.compile(
    r"^<!-- (?P<what>first|not run)(?: \((?P<text>.*?)\))?:\s+(?P<say>.*?) -->"
    r"|^```(?P<kind>console|sh)\n(?P<block>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


class Line(NamedTuple):
    """One thing that is typed.

    :param shown: what the page shows of its output
    :param why_not: why it is not run; None: it is
    :param hidden: the reader does not see it
    """

    typed: str
    shown: tuple[str, ...] = ()
    why_not: str | None = None
    hidden: bool = False


def needs(page: Path) -> str | None:
    """The plug-in that a page is about."""
    found = re.search(
        r"^<!-- needs: (\S+) -->", page.read_text(), re.MULTILINE
    )
    return found and found[1]


def lines(page: Path) -> Iterator[Line]:
    """All that is typed in a page, from its top to its end."""
    first: dict[str, str] = {}
    why_not: dict[str, str] = {}
    for part in _PART.finditer(page.read_text()):
        if part["what"] == "first" and part["text"]:
            first[part["text"]] = part["say"]
        elif part["what"] == "first":
            yield Line(part["say"], hidden=True)
        elif part["what"]:
            why_not[part["text"] or ""] = " ".join(part["say"].split())
        else:
            for line in _block(part["kind"], part["block"]):
                for text in [text for text in first if text in line.typed]:
                    yield Line(first.pop(text), hidden=True)
                reasons = [
                    why for text, why in why_not.items() if text in line.typed
                ]
                yield line._replace(why_not=next(iter(reasons), None))
            first, why_not = {}, {}


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
