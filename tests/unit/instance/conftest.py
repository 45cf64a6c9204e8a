"""A host that a test can arrange."""

from collections.abc import Callable
from pathlib import Path

import pytest

from qemu_cli.paths import Paths

Program = Callable[[str, str], Path]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Directories of this test's own."""
    home = tmp_path / "home"
    return Paths(data=home, state=home, cache=home / "cache", config=home)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Make a shell script: ``program(name, body)``."""

    def make(name: str, body: str) -> Path:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return make
