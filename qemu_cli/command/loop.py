"""The only place that starts an event loop.

The first Ctrl-C (or SIGTERM, or SIGHUP) cancels the work, and every service
undoes in its own ``finally``; the second leaves at once.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def run(
    work: Coroutine[Any, Any, _T],
    on_interrupt: Callable[[], bool] = lambda: False,
) -> _T:
    """Run a coroutine to its end.

    :param on_interrupt: is asked at Ctrl-C first; true: that was all
    :raise KeyboardInterrupt: SIGINT cancelled it, and all is undone
    :raise SystemExit: 143 or 129, SIGTERM or SIGHUP did
    """
    received: list[int] = []
    try:
        return asyncio.run(_until_signal(work, received, on_interrupt))
    except asyncio.CancelledError:
        if received == [signal.SIGINT]:
            raise KeyboardInterrupt from None
        signum = received[0] if received else signal.SIGTERM
        raise SystemExit(128 + signum) from None


async def _until_signal(
    work: Coroutine[Any, Any, _T],
    received: list[int],
    on_interrupt: Callable[[], bool],
) -> _T:
    task = asyncio.ensure_future(work)

    def on_signal(signum: int) -> None:
        if signum == signal.SIGINT and on_interrupt():
            return
        if received:
            os._exit(128 + signum)
        received.append(signum)
        task.cancel()

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup(1) and scripts in the background ignore them on purpose.
        if signal.getsignal(signum) is not signal.SIG_IGN:
            loop.add_signal_handler(signum, on_signal, signum)
    # The handlers stay until the loop is closed: what a cancelled task
    # leaves running is undone there, and can hang.
    return await task
