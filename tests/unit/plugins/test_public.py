"""What plug-ins may use changes only with a word in the changelog.

tests/data/api.txt is what the last release had; a release writes it anew,
with ``python -m qemu_cli.plugins.public``.  Until then every name that is
not as it is there stands in a doc/changelog/next/*.api.md.
"""

import ast
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from qemu_cli.plugins.public import PUBLIC, lines

ROOT = Path(__file__).parents[3]
RECORD = ROOT / "tests/data/api.txt"
NEWS = ROOT / "doc/changelog/next"


def version(record: Sequence[str]) -> tuple[int, int]:
    major, minor = record[0].removeprefix("API ").split(".")
    return int(major), int(minor)


def by_name(record: Sequence[str]) -> dict[str, str]:
    return {line.partition("(")[0]: line for line in record[1:]}


def objections(
    before: Sequence[str], now: Sequence[str], news: str
) -> Iterator[str]:
    """What is missing for the API to have changed like this."""
    was, has = by_name(before), by_name(now)
    changed = sorted(
        name for name in {*was, *has} if was.get(name) != has.get(name)
    )
    for name in changed:
        if name not in news:
            yield (
                f"{was.get(name, 'nothing')} → {has.get(name, 'nothing')}: "
                "say so in a doc/changelog/next/*.api.md"
            )
    if changed and version(now) <= version(before):
        yield "let the second number of qemu_cli.API_VERSION grow"
    if {*was} - {*has} and version(now)[0] <= version(before)[0]:
        yield "something is gone: that is another first number"


def test_every_change_is_in_the_changelog() -> None:
    news = "".join(path.read_text() for path in NEWS.glob("*.api.md"))
    before = RECORD.read_text().splitlines()
    assert [*objections(before, [*lines()], news)] == []


BEFORE = ["API 1.0", "q.a(x)", "q.b"]


@pytest.mark.parametrize(
    ("now", "news", "said"),
    [
        (BEFORE, "", []),
        (
            ["API 1.0", "q.a(x, y)", "q.b"],
            "",
            ["q.a(x) → q.a(x, y): say so", "second number"],
        ),
        (["API 1.1", "q.a(x, y)", "q.b"], "`q.a` takes y", []),
        (["API 1.1", *BEFORE[1:], "q.c"], "", ["nothing → q.c: say so"]),
        (["API 1.1", "q.a(x)"], "`q.b` is gone", ["first number"]),
        (["API 2.0", "q.a(x)"], "`q.b` is gone", []),
    ],
)
def test_what_a_change_needs(
    now: list[str], news: str, said: list[str]
) -> None:
    found = [*objections(BEFORE, now, news)]
    assert len(found) == len(said)
    for text, part in zip(found, said, strict=True):
        assert part in text


def packages() -> list[Path]:
    found = [path.parent for path in ROOT.glob("plugins/*/setup.cfg")]
    assert found
    return found


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """What a module imports of ours, by module and name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.module, alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""


@pytest.mark.parametrize("package", packages(), ids=lambda path: path.name)
def test_the_plug_ins_here_use_nothing_else(package: Path) -> None:
    for path in package.rglob("*.py"):
        for module, name in imported(path):
            if module.partition(".")[0] != "qemu_cli":
                continue
            known = (
                name in PUBLIC.get(module, ())
                or f"{module}.{name}".rstrip(".") in PUBLIC
            )
            assert known, (
                f"{path.relative_to(ROOT)}: {module}.{name} is in no public "
                "API: add it to qemu_cli/plugins/public.py"
            )


def test_all_of_it_is_there_and_has_a_docstring() -> None:
    for module, names in PUBLIC.items():
        for name in names:
            thing = getattr(importlib.import_module(module), name)
            if callable(thing) and module != "qemu_cli.settings":
                assert thing.__doc__, f"{module}.{name}"
