"""What the tests of create share."""

import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a qcow2 image of 8M, and a raw one of 4M."""
    for name, image_format, size in (
        ("base.qcow2", "qcow2", "8M"),
        ("base.raw", "raw", "4M"),
    ):
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", image_format, name, size],
            cwd=tmp_path,
            check=True,
        )
    return tmp_path
