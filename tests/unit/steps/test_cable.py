"""Links that are set again."""

import asyncio
from typing import Any

import pytest

from qemu_cli.errors import ConnectionLostError, RefusedError, TimedOutError
from qemu_cli.steps.cable import SetLinks


class Cards:
    """Hands to a QEMU that fails in some way."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.is_there = True
        self.told: list[tuple[str, bool]] = []

    async def runs(self) -> bool:
        return self.is_there

    async def execute(self, command: str, arguments: dict[str, Any]) -> None:
        assert command == "set_link"
        self.told.append((arguments["name"], arguments["up"]))
        if self.error:
            raise self.error


def run(cards: Cards) -> list[tuple[str, bool]]:
    asyncio.run(SetLinks(("a", "b"), ("c",)).do(cards))  # type: ignore[arg-type]
    return cards.told


ALL = [("a", True), ("b", True), ("c", False)]


@pytest.mark.parametrize(
    "error",
    [None, RefusedError("Device 'a' not found"), ConnectionLostError("gone")],
)
def test_each_is_tried(error: Exception | None) -> None:
    assert run(Cards(error)) == ALL


def test_one_that_is_silent_is_an_error() -> None:
    with pytest.raises(TimedOutError):
        run(Cards(TimedOutError("no answer")))


def test_no_qemu_no_link() -> None:
    cards = Cards()
    cards.is_there = False
    assert run(cards) == []


def test_it_is_shown() -> None:
    assert SetLinks(("a",), ("c",)).describe() == (
        'qmp {"execute": "set_link", "arguments": {"name": "a", "up": true}}\n'
        'qmp {"execute": "set_link", "arguments": {"name": "c", "up": false}}'
    )
