"""What the tests of steps share."""

from pathlib import Path

import pytest

from tests.unit.steps.worlds import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "w")
