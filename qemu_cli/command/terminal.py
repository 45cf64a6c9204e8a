"""The user's terminal, while a guest has it."""

import asyncio
import contextlib
import signal
import termios
import tty
from collections.abc import Iterator

#: What a full-screen program in the guest may have left switched on.
#: DECSTR (soft reset), then xterm's private modes: the alternate screen,
#: bracketed paste, mouse reports; and below all that stands there.
RESET = (
    "\x1b[!p\x1b[?1047l\x1b[?2004l"
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[999;1H"
)


@contextlib.contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """Give every key to us, and none to the terminal driver.

    To be used within a running loop.  However the block is left, the
    modes are what they were before; what was typed and not read by then
    is thrown away, so that no shell executes it.

    :param descriptor: the terminal
    """
    before = termios.tcgetattr(descriptor)

    def enter() -> None:
        tty.setraw(descriptor, termios.TCSADRAIN)

    loop = asyncio.get_running_loop()
    # Who was stopped with a signal comes back to a shell's modes.
    loop.add_signal_handler(signal.SIGCONT, enter)
    try:
        enter()
        yield
    finally:
        loop.remove_signal_handler(signal.SIGCONT)
        with contextlib.suppress(termios.error):  # it is gone
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
