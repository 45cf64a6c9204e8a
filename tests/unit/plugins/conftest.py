"""What the tests of plug-ins share."""

from typing import Any

import pytest

from tests.unit.plugins.installed import EVERYTHING, GOOD


@pytest.fixture
def add_good(distributions: Any) -> None:
    distributions.add("good", EVERYTHING, {"good": GOOD})
