"""What the program can do stands in the documentation, and no more.

The reference is built as text, by Sphinx itself, and read like a reader
does.  Pages written by hand, and the examples of ``--help``, may only
show commands, options and settings that exist.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from importlib.metadata import distribution
from itertools import dropwhile, groupby
from pathlib import Path

import pytest

from qemu_cli import errors, hookspecs, settings
from qemu_cli.app import QemuApp
from qemu_cli.plugins.public import PUBLIC

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


def test_every_public_name_is_described(reference: Path) -> None:
    text = (reference.parent / "plugins/api.txt").read_text()
    for module, names in PUBLIC.items():
        for name in names:
            if module == "qemu_cli.settings":
                assert f'"{name}": the setting "' in text
            elif not name.startswith("qemu_cli_"):  # hooks: see there
                assert re.search(rf"{re.escape(module)}\.{name}\b", text), name


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
    pages += sorted((ROOT / "qemu_cli").rglob("*.md"))
    return [page for page in pages if "_build" not in page.parts]


def commands(line: str) -> Iterator[list[str]]:
    """The words of each ``qemu`` that a shell would run for a line."""
    # shlex does not tell a quoted operator from one of the shell.
    line = re.sub(r"'[<>]=?'", lambda quoted: f"OPERATOR{quoted[0]}", line)
    split = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    split.whitespace_split = True
    for is_end, group in groupby(split, lambda word: word[0] in "|&;<>"):
        words = (word.removeprefix("OPERATOR") for word in group)
        own = dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words)
        if not is_end and next(own, "") == "qemu":
            yield list(own)


def parse(words: list[str]) -> None:
    """Let the program's own parsers read it.

    :raise QemuCliError: they don't understand it
    """
    app = QemuApp()
    options = app.parser.parse_args(words)
    command, name, rest = app.command_manager.find_command(options.words)
    parser = command(app, options).get_parser(f"qemu {name}")
    args = parser.parse_args(rest)
    app.options = options
    for key in getattr(args, "key", None), *options.settings:
        assert key is None or app.config.find(key.partition("=")[0])
    if value := getattr(args, "value", None):
        app.config.check(args.key, value)
        app.command_keys.check(args.key, value)


def lines_of(page: Path) -> list[str]:
    """What is typed in a page: after a prompt, or in a script."""
    text = page.read_text().replace("\\\n", "")
    blocks = re.findall(r"^```(console|sh)\n(.*?)^```", text, re.M | re.S)
    prompts = {"console": r"\$ ", "sh": " *"}
    return [
        line
        for kind, block in blocks
        for line in re.findall(rf"^{prompts[kind]}(.*)", block, re.M)
        if "qemu" in line
    ]


def of_plugins() -> set[str]:
    """The commands of the packages in plugins/, which are not here."""
    found = set()
    for file in ROOT.glob("plugins/*/setup.cfg"):
        config = ConfigParser()
        config.read(file)
        points = config["options.entry_points"].get("qemu_cli.commands", "")
        names = [line.split("=")[0] for line in points.split("\n") if line]
        found |= {name.strip().replace("_", " ") for name in names}
    assert "hello" in found
    return found


def is_of(names: set[str], words: list[str]) -> bool:
    typed = " ".join(words) + " "
    return any(typed.startswith(f"{name} ") for name in names)


@pytest.mark.parametrize(
    "page", handwritten(), ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_page_shows_only_what_the_program_understands(page: Path) -> None:
    elsewhere = of_plugins()
    if "<!-- needs:" in page.read_text():
        # Plug-ins add options to these.
        elsewhere |= {"create", "run", "config set"}
    for line in lines_of(page):
        for words in commands(line):
            example = DOC / f"examples/qemu-{words[0]}"
            if not is_of(elsewhere, words) and not example.exists():
                parse(words)


@pytest.mark.parametrize("words", command_words())
def test_the_examples_of_a_command_are_understood(words: str) -> None:
    command, _, _ = QemuApp().command_manager.find_command(words.split())
    assert command.examples
    for line in command.examples:
        typed = list(commands(line))
        assert typed
        for words_typed in typed:
            parse(words_typed)
