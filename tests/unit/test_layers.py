"""A module imports only what is below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import qemu_cli

ROOT = Path(qemu_cli.__file__).parent

#: From the bottom to the top: see doc/explanation/architecture.md.
LAYERS = (
    {
        *("__init__", "errors", "paths", "suggest", "files", "deprecation"),
        *("streams", "globaloptions"),
    },
    {
        "units",
        "bars",
        "progress",
        "ui",
        "settings",
        "proc",
        "watch",
        "steps",
        "guardian",
        "config",
        "configfile",
    },
    {"hookfacts", "hookspecs", "extensions", "hooks"},
    {"qmp"},
    {"storage"},
    {"emulator"},
    {"instance", "profiles", "conditions"},
    {"columns", "command", "formatters", "aliases", "external"},
    {
        *("commandmanager", "helptext", "plugins"),
        *("commands", "manual", "completion"),
    },
    {"app", "__main__"},
)


def modules() -> list[Path]:
    return sorted(
        path
        for path in ROOT.rglob("*.py")
        if path.relative_to(ROOT).parts[0] != "testing"
    )


def imports(path: Path) -> Iterator[str]:
    """What a module imports when it runs; not for type checkers only."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module)
            yield from (f"{node.module}.{a.name}" for a in node.names)


def layer(part: str) -> int:
    for number, parts in enumerate(LAYERS):
        if part in parts:
            return number
    raise AssertionError(f"qemu_cli.{part} is in no layer")


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.name))
def test_a_module_imports_only_what_is_below(path):
    mine = layer(part_of(path))
    for name in imports(path):
        words = name.split(".")
        if words[0] != "qemu_cli" or len(words) == 1:
            continue
        if words[1] in ("__version__", "API_VERSION"):
            continue
        assert layer(words[1]) <= mine, f"{path.name} imports {name}"


ONLY = {
    "qemu.qmp": {"qmp/link.py"},
    "pluggy": {"hookspecs.py", "hooks.py"},
    "stevedore": {"extensions.py"},
    "rich": {"bars.py"},
    "cmd2": set(),
}


def importers(name: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in modules()
        if any(f"{each}.".startswith(f"{name}.") for each in imports(path))
    }


@pytest.mark.parametrize("name", ONLY)
def test_a_library_is_imported_in_its_place_only(name):
    assert importers(name) <= ONLY[name]


@pytest.mark.parametrize("layer_name", ["qmp", "storage", "instance"])
def test_services_know_no_cliff(layer_name):
    assert not {
        each for each in importers("cliff") if each.startswith(layer_name)
    }


@pytest.mark.parametrize("name", ["asyncio", "subprocess", "qemu.qmp"])
def test_commands_are_thin(name):
    assert not {
        each for each in importers(name) if each.startswith("commands/")
    }


def test_commands_do_not_import_each_other():
    for path in (ROOT / "commands").glob("*.py"):
        others = [
            i for i in imports(path) if i.startswith("qemu_cli.commands")
        ]
        assert others == [], path.name


def test_only_one_module_starts_an_event_loop():
    users = [
        str(path.relative_to(ROOT))
        for path in modules()
        if "asyncio.run(" in path.read_text()
    ]
    assert users == ["command/loop.py"]
