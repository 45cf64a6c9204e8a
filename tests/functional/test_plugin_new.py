"""The package that ``qemu plugin new`` writes works as it is made."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import qemu_cli
from qemu_cli.testing.home import QemuHome
from tests import sharing_venv

#: A dash, so that the word, the module and the class differ.
NAME = "disk-report"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, made by the installed ``qemu``."""
    home = QemuHome(tmp_path_factory.mktemp("home"))
    directory = tmp_path_factory.mktemp("new") / "made"
    made = home("plugin", "new", NAME, "--directory", directory)
    assert made.rc == 0, made.err
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert sorted(made.out.split()) == sorted(map(str, files))
    return directory


def run(package: Path, *command: str | Path, **environment: str) -> str:
    """Run a tool in the package, as its author does."""
    done = subprocess.run(
        command,
        cwd=package,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with nothing but the package and what it needs."""
    python = sharing_venv.make(tmp_path_factory.mktemp("venv"))
    sharing_venv.install(python, package, extra="[test]")
    return python


def test_its_tests_pass(package: Path, python: Path) -> None:
    said = run(package, python, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert "5 passed" in said


def test_it_is_a_plug_in_like_any_other(
    python: Path, qemu_home: QemuHome
) -> None:
    qemu_home.executable = python.with_name("qemu")
    (row,) = qemu_home("plugin", "list", "-f", "json").json
    assert row["name"] == f"qemu-cli-{NAME}"
    assert row["commands"] == [NAME]
    assert row["columns"] == ["disk_report"]
    assert row["hooks"] == ["add_arguments", "check_definition"]
    assert f"usage: qemu {NAME}" in qemu_home("help", NAME).out
    assert qemu_home(NAME, "nosuch").rc == 3
    assert qemu_home("plugin", "doctor").rc == 0


def test_ruff_finds_nothing(package: Path) -> None:
    for words in (("check",), ("format", "--check")):
        run(package, sys.executable, "-m", "ruff", *words, "--no-cache", ".")


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Where mypy finds us, which it does not where we are editable."""
    root = Path(qemu_cli.__file__).parents[1]
    if root.name == "site-packages":
        yield {}
    else:
        (tmp_path / "qemu_cli").symlink_to(root / "qemu_cli")
        yield {"MYPYPATH": str(tmp_path)}


def test_mypy_finds_nothing(package: Path, typed: dict[str, str]) -> None:
    said = run(package, sys.executable, "-m", "mypy", **typed)
    assert "no issues found in 5 source files" in said


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("list", "there is a command 'qemu list' already"),
        ("snapshot", "there is a command 'qemu snapshot' already"),
        ("qemu-cli-list", "there is a command 'qemu list' already"),
        ("Größe", "no name for a plug-in"),
        ("../x", "no name for a plug-in"),
        ("x--y", "no name for a plug-in"),
        ("class", "a word of Python itself"),
    ],
)
def test_a_name_that_can_not_be(
    qemu_home: QemuHome, tmp_path: Path, name: str, why: str
) -> None:
    done = qemu_home("plugin", "new", name, "--directory", tmp_path / "new")
    assert done.rc == 2
    assert why in done.err
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten(qemu_home: QemuHome, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    done = qemu_home("plugin", "new", "x", "--directory", tmp_path)
    assert done.rc == 1
    assert "there is something in it" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
