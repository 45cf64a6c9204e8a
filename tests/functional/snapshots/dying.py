"""A program that dies in the middle of a plan, inside of this process."""

import contextlib
from collections.abc import Iterator
from typing import Any

from qemu_cli.steps.runner import Journal, Runner


class Killed(BaseException):
    """The program is dead; nothing that it would have done is done."""


@contextlib.contextmanager
def dying(after: int | None) -> Iterator[None]:
    """Die when so many steps are done; None: live on."""
    if after is None:
        yield
        return
    left = after
    note, give_up = Journal.step, Runner._give_up

    def step(self: Journal, index: int) -> None:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        note(self, index)

    async def nothing(self: Runner, *args: Any) -> None:
        return

    Journal.step, Runner._give_up = step, nothing  # type: ignore[method-assign]
    try:
        yield
    except Killed:
        pass
    finally:
        Journal.step, Runner._give_up = note, give_up  # type: ignore[method-assign]
