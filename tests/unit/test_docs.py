"""What the program can do stands in the documentation, and no more.

The reference is built as text, by Sphinx itself, and read like a reader
does.  Pages written by hand may only show commands and settings that
exist.
"""

import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from qemu_cli import errors, hookspecs, settings

ROOT = Path(__file__).parents[2]
DOC = ROOT / "doc"


def command_words() -> list[str]:
    points = distribution("qemu-cli").entry_points
    return [
        point.name.replace("_", " ")
        for point in points.select(group="qemu_cli.commands")
    ]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("doc")
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "text", DOC, built],
        check=True,
        timeout=240,
    )
    return built / "reference"


def test_every_command_has_its_help(reference: Path) -> None:
    text = (reference / "commands.txt").read_text()
    headings = re.findall(r"^(qemu .+)\n[=-]+$", text, re.MULTILINE)
    assert headings == [f"qemu {words}" for words in sorted(command_words())]
    for heading in headings:
        assert f"usage: {heading}" in text


def test_every_setting_is_described(reference: Path) -> None:
    text = (reference / "settings.txt").read_text()
    for name, setting in settings.SETTINGS.items():
        assert f'"{name}"' in text
        assert setting.doc.split()[0] in text


def test_every_hook_and_its_arguments_are_described(reference: Path) -> None:
    text = (reference / "hooks.txt").read_text()
    # Read from the file, so that a hook which the reference can't see
    # is missed.
    source = Path(hookspecs.__file__).read_text()
    hooks = re.findall(r"^@_hookspec.*\ndef (\w+)\(([^)]*)\)", source, re.M)
    assert hooks
    for name, arguments in hooks:
        assert f"qemu_cli.hookspecs.{name}(" in text
        for argument in re.findall(r"(\w+):", arguments):
            assert f"{argument}" in text


def test_every_exit_code_is_described(reference: Path) -> None:
    text = (reference / "exit-codes.txt").read_text()
    for name in errors.__all__:
        error = getattr(errors, name)
        assert re.search(rf"\b{error.exit_code} +\| \"{name}\"", text)
    for code in (0, 130, 141):
        assert re.search(rf"\| {code} ", text)


def handwritten() -> list[Path]:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    pages += sorted(DOC.rglob("*.md"))
    return [page for page in pages if "_build" not in page.parts]


@pytest.mark.parametrize(
    "page", handwritten(), ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_page_shows_only_commands_that_exist(page: Path) -> None:
    known = command_words()
    shown = re.findall(r"^\$ qemu ([a-z].*)$", page.read_text(), re.MULTILINE)
    unknown = [
        line
        for line in shown
        if not any(f"{line} ".startswith(f"{words} ") for words in known)
    ]
    assert unknown == []
