"""What the tests of qemu job share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome
from tests.functional.job.asking import SMALL, ok


@pytest.fixture(scope="module")
def home() -> Iterator[QemuHome]:
    """Two VMs that run, ``a`` and ``b``, and one that does not."""
    directory = Path("/tmp") / f"q-job-{os.getpid()}"
    directory.mkdir()
    home = QemuHome(directory / "h")
    try:
        for name in "ab":
            ok(home("create", name, "--disk", "1G", *SMALL, "--start"))
        ok(home("create", "down", *SMALL))
        yield home
    finally:
        home.close()
        shutil.rmtree(directory)
