"""Steps that go back to a snapshot, where QEMU ends at a bad moment."""

import asyncio
from typing import Any

import pytest

from qemu_cli.errors import ConnectionLostError, StateError, TimedOutError
from qemu_cli.steps.load import Continue


class DyingHands:
    """A QEMU that fails, and is gone after it was looked for some times."""

    def __init__(self, error: Exception, looks: int) -> None:
        self.error = error
        self.looks = looks
        self.told: list[str] = []

    async def runs(self) -> bool:
        self.looks -= 1
        return self.looks >= 0

    async def execute(self, command: str, arguments: dict[str, Any]) -> None:
        self.told.append(command)
        raise self.error


def run(hands: DyingHands) -> None:
    asyncio.run(Continue().do(hands))  # type: ignore[arg-type]


def test_nothing_is_there_to_go_on() -> None:
    hands = DyingHands(StateError("not asked"), 0)
    run(hands)
    assert hands.told == []


@pytest.mark.parametrize("error", [ConnectionLostError, StateError])
def test_it_dies_when_it_is_told_to_go_on(error: type[Exception]) -> None:
    hands = DyingHands(error("it has ended"), 2)
    run(hands)
    assert hands.told == ["cont"]
    assert hands.looks == -1


def test_one_that_lives_and_fails_is_an_error() -> None:
    with pytest.raises(TimedOutError):
        run(DyingHands(TimedOutError("no answer"), 5))
