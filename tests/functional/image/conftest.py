"""What the tests of qemu image share."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome
from tests.functional.image.images import MIB, SMALL, ok


@pytest.fixture
def made(qemu_home: QemuHome, tmp_path: Path) -> Callable[..., Path]:
    """Make an image: ``made(NAME, SIZE, …)``."""

    def make(name: str, *words: str | Path) -> Path:
        ok(qemu_home("image", "create", tmp_path / name, *words))
        return tmp_path / name

    return make


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """64 MiB that are not zero."""
    source = tmp_path / "data.raw"
    source.write_bytes(os.urandom(MIB) * 64)
    return source


@pytest.fixture(scope="module")
def home() -> Iterator[QemuHome]:
    """A VM that runs, ``up``, and one that does not, ``down``."""
    directory = Path("/tmp") / f"q-image-{os.getpid()}"
    directory.mkdir()
    home = QemuHome(directory / "h")
    disks = ("--disk", "8M", "--disk", "8M,format=raw")
    try:
        ok(home("create", "up", *disks, *SMALL, "--start"))
        ok(home("create", "down", *disks, *SMALL))
        yield home
    finally:
        home.close()
        shutil.rmtree(directory)
