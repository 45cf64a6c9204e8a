"""The QEMU programs under test."""

import os
from pathlib import Path

import pytest

from qemu_cli.config import Config
from qemu_cli.emulator import binary
from qemu_cli.storage import tools


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The settings of this test run, and no others."""
    nowhere = tmp_path / "no-config.toml"
    return Config(user=nowhere, system=nowhere, environ=os.environ)


@pytest.fixture
def qemu_img(config: Config) -> str:
    """qemu-img."""
    return tools.find("qemu-img", config)


@pytest.fixture
def qemu_system(config: Config) -> Path:
    """The emulator for x86_64."""
    return binary.find("x86_64", config)
