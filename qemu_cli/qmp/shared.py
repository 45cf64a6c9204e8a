"""A connection that several users share, and that the last one closes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Opened by the first user, closed by the last.

    :param opened: makes a context manager that opens and closes it
    """

    def __init__(
        self, opened: Callable[[], AbstractAsyncContextManager[T]]
    ) -> None:
        self._opened = opened
        self._stack = AsyncExitStack()
        self._turn = asyncio.Lock()
        self._users = 0
        self._thing: list[T] = []  # one while it is open

    @asynccontextmanager
    async def use(self) -> AsyncIterator[T]:
        """Have it for the length of the block."""
        async with self._turn:
            if not self._thing:
                opened = await self._stack.enter_async_context(self._opened())
                self._thing.append(opened)
            self._users += 1
        try:
            yield self._thing[0]
        finally:
            self._users -= 1
            async with self._turn:
                # Somebody may have come while we waited for our turn.
                if not self._users:
                    self._thing.clear()
                    await self._stack.aclose()
