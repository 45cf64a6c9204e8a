"""A guardian: does what must happen even when we are killed.

It is a small process with the other end of a pipe.  While it is armed,
the pipe's end without a word from us means that we are dead, and it runs
the commands that it was given: delete a ``--rm`` instance, thaw a guest,
take down an export.  They are ordinary ``qemu`` commands, with all their
checks and locks::

    with guarding(["kill", "web"], ["delete", "web", "--yes"]) as guardian:
        guardian.arm()
        …
        guardian.disarm()

What the pipe said last counts: ``+`` armed, ``-`` not.  This file is also
the guardian's program.  It imports nothing of ours: it is to be small,
and to start at once.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

_RUN = "import sys; from qemu_cli.app import main; sys.exit(main())"


class Guardian:
    """Our end of the pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def arm(self) -> None:
        """From now on it acts when we are gone."""
        self._say(b"+")

    def disarm(self) -> None:
        """All is done: there is nothing to do for it."""
        self._say(b"-")

    def _say(self, word: bytes) -> None:
        # Somebody killed it: we are as well off as without one.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, word)


@contextlib.contextmanager
def guarding(*commands: Sequence[str]) -> Iterator[Guardian]:
    """Have a guardian for the length of the block.

    One that is armed at the block's end acts then.

    :param commands: the words after ``qemu``; done in this order, whether
        those before have failed or not
    """
    theirs, ours = os.pipe2(os.O_CLOEXEC)
    # -P: what is in the current directory is no module of ours.
    todo = [[sys.executable, "-P", "-c", _RUN, *words] for words in commands]
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, json.dumps(todo)],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # not our terminal's signals
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    try:
        yield Guardian(ours)
    finally:
        os.close(ours)
        # It may have much to do: nobody waits for it.
        process.returncode = 0


def watch(pipe: int, commands: Sequence[Sequence[str]]) -> None:
    """Be the guardian: wait for the pipe's end, and act if armed."""
    last = b""
    while word := os.read(pipe, 4096):
        last = word[-1:]
    if last == b"+":
        for argv in commands:
            subprocess.run(argv, stdin=subprocess.DEVNULL, check=False)


def _main() -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    watch(0, json.loads(sys.argv[1]))


if __name__ == "__main__":
    _main()
