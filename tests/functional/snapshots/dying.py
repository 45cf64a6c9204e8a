"""A program that dies in the middle of a plan, inside of this process."""

import contextlib
from collections.abc import Iterator
from typing import Any

from qemu_cli.steps.runner import Journal, Runner


class Killed(BaseException):
    """The program is dead; nothing that it would have done is done."""


class Death:
    """Whether it died."""

    happened = False


@contextlib.contextmanager
def dying(after: int | None) -> Iterator[Death]:
    """Die at a moment; None: live on.

    :param after: an even one: when half as many steps are done; an odd
        one: when the next has been noted, and is not begun
    """
    death = Death()
    if after is None:
        yield death
        return
    left = after
    note, give_up = Journal.step, Runner._give_up

    def step(self: Journal, index: int) -> None:
        nonlocal left
        if left == 0:
            raise Killed
        note(self, index)
        if left == 1:
            raise Killed
        left -= 2

    async def nothing(self: Runner, *args: Any) -> None:
        return

    Journal.step, Runner._give_up = step, nothing  # type: ignore[method-assign]
    try:
        yield death
    except Killed:
        death.happened = True
    finally:
        Journal.step, Runner._give_up = note, give_up  # type: ignore[method-assign]
