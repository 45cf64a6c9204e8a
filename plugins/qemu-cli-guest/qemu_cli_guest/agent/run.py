"""A program in the guest: input and output while it runs, and its end.

qemu-ga keeps what a program writes, and tells it when the program has
ended, 16 MiB at most.  So a shell in the guest sends it to files in /tmp,
which are read while they grow, and removed at the end.  Input that does
not fit into the first command comes through a named pipe.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Sequence
from typing import NamedTuple

from qemu_cli.errors import (
    BusyError,
    ConnectionLostError,
    QemuCliError,
    RefusedError,
    TimedOutError,
)
from qemu_cli.instance.inside import NoAgentError
from qemu_cli.qmp.agent import Agent, Finished
from qemu_cli.qmp.agent.files import READ_BYTES
from qemu_cli_guest.agent import scripts
from qemu_cli_guest.agent.line import Line, is_frozen
from qemu_cli_guest.agent.stdio import Sink, Source

#: So much input goes with the command that starts the program, in bytes.
_FIRST_BYTES = 64 << 10
#: Input that comes later than this goes through the pipe, in seconds.
_FIRST_S = 0.05
#: What goes into the pipe at a time, in bytes.
_FEED_BYTES = 256 << 10

#: The pauses between two looks at a program that has nothing to say.
_PAUSES_S = (0.003, 0.005, *[0.01] * 4, 0.02, 0.02, 0.05, 0.1, 0.25)
#: What takes longer than this is listened to, in seconds.
_QUICK_S = 0.05
#: An agent that is started again or is busy is waited for, in seconds.
_PATIENCE_S = 30.0
#: To end a program and to remove what is left may take so long each, in
#: seconds.  A program has two of them to end by itself.
_UNDO_S = 10.0

#: A shell's exit code for a program that a signal ended.
_BY_SIGNAL = 128

#: What is over by itself: the agent is started again, or busy.
_PASSING = (TimedOutError, ConnectionLostError, BusyError, NoAgentError)


class Program(NamedTuple):
    """What is to be run.

    :param environment: ``NAME=value``, beside what the agent has
    """

    argv: Sequence[str]
    environment: Sequence[str] = ()


class _Stream:
    """A file in the guest that a program writes to."""

    def __init__(self, path: str, sink: Sink) -> None:
        self._path = path
        self._sink = sink
        self._handle: int | None = None
        self._offset = 0

    async def pump(self, agent: Agent) -> bool:
        """Pass on what is new; false: there was nothing."""
        if self._handle is None:
            self._handle = await agent.open_file(self._path)
            await agent.seek_file(self._handle, self._offset)
        before = self._offset
        while True:
            data = await agent.read_file(self._handle)
            self._offset += len(data)
            await self._sink.write(data)
            if len(data) < READ_BYTES:
                return self._offset > before

    def forget(self) -> None:
        """The agent was started again, and knows our handle no more."""
        self._handle = None

    async def close(self, agent: Agent) -> None:
        """Close it."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            await agent.close_file(handle)


class Run:
    """One program, from its start to its end."""

    def __init__(
        self,
        line: Line,
        program: Program,
        source: Source,
        out: Sink,
        err: Sink,
    ) -> None:
        self._line = line
        self._program = program
        self._source = source
        self._base = f"/tmp/qemu-exec-{secrets.token_hex(8)}"  # noqa: S108
        self._out = _Stream(f"{self._base}.out", out)
        self._err = _Stream(f"{self._base}.err", err)
        self._pid: int | None = None
        self._feeder: int | None = None
        self._hungry = False  # there is input left to feed
        self._is_orphan = False  # of an agent that is no more
        self._is_clean = False  # nothing is left of it

    async def exit_code(self, timeout_s: float | None = None) -> int:
        """Run it; what is left of it in the guest is removed.

        :param timeout_s: it is ended when that is over
        :return: its exit code; 128 and more: the signal that ended it
        :raise TimedOutError: its time was over, or the agent is silent
        :raise QemuCliError: it could not be run
        """
        try:
            async with asyncio.timeout(timeout_s) as limit:
                return await self._watched()
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimedOutError(
                f"{self._program.argv[0]} did not end in {timeout_s:g} s, "
                "and was ended"
            ) from None
        finally:
            # Whatever is on its way in this connection is nobody's now.
            with contextlib.suppress(QemuCliError, TimeoutError):
                await asyncio.shield(self._undo())

    async def _watched(self) -> int:
        try:
            await self._begin(await self._line.agent())
            return await self._result(await self._until_end())
        except BaseException:
            if self._pid is not None:
                with contextlib.suppress(QemuCliError, TimeoutError):
                    await asyncio.shield(self._end(self._pid))
            raise

    async def _begin(self, agent: Agent) -> None:
        stdin, at_end = await self._first_input()
        self._hungry = not at_end
        script = scripts.PLAIN if at_end else scripts.FED
        words = [self._base, *self._program.environment, "--"]
        self._pid = await agent.begin(
            scripts.argv(script, *words, *self._program.argv),
            stdin=stdin if at_end else b"",
        )
        if not at_end and stdin:
            self._feeder = await self._feed(agent, stdin)

    async def _first_input(self) -> tuple[bytes, bool]:
        data = b""
        while len(data) < _FIRST_BYTES:
            piece = self._source.take(_FIRST_BYTES)
            if piece is None:
                await self._source.wait(_FIRST_S)
                piece = self._source.take(_FIRST_BYTES)
            if piece is None:
                return data, False
            if not piece:
                return data, True
            data += piece
        return data, False

    async def _until_end(self) -> Finished:
        """Pass on input and output until it has ended."""
        pauses = iter(_PAUSES_S)
        pause_s = 0.0
        trouble: float | None = None
        while True:
            news = False
            try:
                agent = await self._line.agent()
                if finished := await self._look(agent):
                    return finished
                news = self._hungry and await self._go_on_feeding(agent)
                # The end of a quick one comes before its output.
                if pause_s >= _QUICK_S:
                    news |= await self._pump(agent)
                trouble = None
            except RefusedError as error:
                if not is_frozen(error):
                    raise
                trouble = None
            except _PASSING:
                # An answer that never came has taken its time already.
                trouble = trouble or time.monotonic()
                if time.monotonic() - trouble > _PATIENCE_S:
                    raise
                await self._line.hang_up()
            if news:
                pauses = iter(_PAUSES_S[-3:])
            pause_s = next(pauses, pause_s)
            if pause_s == _PAUSES_S[-1]:
                await self._line.hang_up()
            if self._hungry and self._feeder is None:
                await self._source.wait(pause_s)
            else:
                await asyncio.sleep(pause_s)

    async def _look(self, agent: Agent) -> Finished | None:
        """Ask whether it has ended.

        :raise QemuCliError: it has, and nobody knows how
        """
        assert self._pid is not None  # noqa: S101
        if not self._is_orphan:
            try:
                return await agent.finished(self._pid)
            except RefusedError as error:
                if is_frozen(error):
                    raise
            # The agent was started again, and knows nothing of it.
            self._is_orphan = True
            self._feeder = None
            self._out.forget()
            self._err.forget()
        words = (self._base, str(self._pid))
        look = await agent.run(scripts.argv(scripts.LOOK, *words))
        if look.exit_code == 0:
            return Finished(int(look.out), None, b"ran out err", b"", False)
        if look.exit_code == 1:
            return None
        raise QemuCliError(
            "the guest agent was started again, and "
            f"{self._program.argv[0]} ended with it"
        )

    async def _pump(self, agent: Agent) -> bool:
        try:
            news = [await self._out.pump(agent), await self._err.pump(agent)]
        except RefusedError as error:
            if is_frozen(error):
                raise
            # It ended since we looked, and its files went with it: the
            # next look tells.  If not, that at the end fails, too.
            return False
        return any(news)

    async def _go_on_feeding(self, agent: Agent) -> bool:
        """Put more input into the pipe; false: nothing has changed."""
        if self._feeder is not None:
            if not await agent.finished(self._feeder):
                return False
            self._feeder = None
        data = self._source.take(_FEED_BYTES)
        if data is None:
            return False
        if data:
            self._feeder = await self._feed(agent, data)
        else:
            self._hungry = False
            await agent.run(scripts.argv(scripts.END_OF_INPUT, self._base))
        return True

    async def _feed(self, agent: Agent, data: bytes) -> int:
        argv = scripts.argv(scripts.FEED, self._base)
        return await agent.begin(argv, stdin=data, capture=False)

    async def _result(self, finished: Finished) -> int:
        agent = await self._line.agent()
        words = finished.out.split()
        if words[:1] != [b"ran"]:
            return self._not_run(finished)
        self._is_clean = b"clean" in words and self._feeder is None
        if b"out" in words:
            await self._out.pump(agent)
        if b"err" in words:
            await self._err.pump(agent)
        assert finished.exit_code is not None  # noqa: S101
        return finished.exit_code

    def _not_run(self, finished: Finished) -> int:
        """Judge a shell that did not come to its end."""
        if finished.signal:
            return _BY_SIGNAL + finished.signal
        said = finished.err.decode(errors="replace").strip()
        raise QemuCliError(f"the guest has no room for output: {said}")

    async def _end(self, pid: int) -> None:
        """End a program whose end we can't wait for."""
        self._pid = None
        async with asyncio.timeout(_UNDO_S):
            await self._line.hang_up()
            agent = await self._line.agent()
            await agent.run(scripts.argv(scripts.END, str(pid)))
        self._pid = pid  # there is an agent, to clean up

    async def _undo(self) -> None:
        """Remove what is left in the guest."""
        if self._pid is None:
            return
        async with asyncio.timeout(_UNDO_S):
            agent = await self._line.agent()
            with contextlib.suppress(RefusedError):
                await self._out.close(agent)
                await self._err.close(agent)
            if self._is_clean:
                return
            words = [self._base, *(str(p) for p in [self._feeder] if p)]
            await agent.begin(
                scripts.argv(scripts.CLEAN_UP, *words), capture=False
            )
