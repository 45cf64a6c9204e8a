"""A QEMU without a machine, to be asked what the binary can do.

``-machine none`` answers after 50 ms.  The monitor is its stdin and
stdout, so there is no socket to name and nothing to clean up.
"""

import asyncio
import contextlib
import json
import resource
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from qemu_cli.errors import (
    ConnectionLostError,
    RefusedError,
    TimedOutError,
    ToolError,
)

#: One reply is one line; the longest is far below.
_LINE_MAX_BYTES = 16 << 20

#: Should we be killed, the orphan dies after this much work.
_ORPHAN_CPU_S = 60

BARE = ("-nodefaults", "-no-user-config", "-display", "none")


class BareQemu:
    """What :func:`bare_qemu` yields: a monitor to ask on."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        self._stdin, self._stdout = process.stdin, process.stdout

    async def execute(self, command: str, **arguments: Any) -> Any:
        """Send one QMP command and return its value.

        :raise RefusedError: QEMU answered with an error
        :raise ConnectionLostError: QEMU ended
        """
        message = {"execute": command, "arguments": arguments}
        try:
            self._stdin.write(json.dumps(message).encode() + b"\n")
            await self._stdin.drain()
            while line := await self._stdout.readline():
                reply = json.loads(line)
                if not isinstance(reply, dict):
                    raise ValueError("this is not QMP")
                if "return" in reply:
                    return reply["return"]
                if "error" in reply:
                    raise RefusedError(
                        reply["error"]["desc"],
                        command=command,
                        error_class=reply["error"]["class"],
                    )
        except (OSError, ValueError) as error:
            raise ConnectionLostError(f"{command}: {error}") from error
        raise ConnectionLostError(f"{command}: QEMU ended")


@contextlib.asynccontextmanager
async def bare_qemu(
    binary: Path,
    *options: str,
    machine: str = "none",
    timeout_s: float = 20,
) -> AsyncIterator[BareQemu]:
    """Run a QEMU whose CPUs do not run, for the time of the block.

    :param options: further command-line options
    :param timeout_s: for the whole block
    :raise ToolError: when it can't run or dies, with its own words
    :raise TimedOutError: when it does not answer in time
    """
    argv = (
        *(str(binary), "-machine", machine, *BARE, *options, "-S"),
        *("-chardev", "stdio,id=monitor"),
        *("-mon", "chardev=monitor,mode=control"),
    )
    try:
        async with child(*argv) as process, asyncio.timeout(timeout_s):
            qemu = BareQemu(process)
            try:
                await qemu.execute("qmp_capabilities")
                yield qemu
            except ConnectionLostError as error:
                words = await last_words(process) or str(error)
                raise ToolError(f"{binary.name} died: {words}") from error
    except TimeoutError as error:
        raise TimedOutError(
            f"{binary} did not answer within {timeout_s:g} s"
        ) from error


@contextlib.asynccontextmanager
async def child(
    *argv: str, pass_fds: tuple[int, ...] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a QEMU for the time of the block; it never outlives it.

    :raise ToolError: when it can't be run
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=pass_fds,
            limit=_LINE_MAX_BYTES,
        )
    except OSError as error:
        raise ToolError(f"{argv[0]} can't be run: {error.strerror}") from error
    try:
        with contextlib.suppress(ProcessLookupError):
            limit = (_ORPHAN_CPU_S, _ORPHAN_CPU_S)
            resource.prlimit(process.pid, resource.RLIMIT_CPU, limit)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def last_words(process: asyncio.subprocess.Process) -> str:
    """Return the first line of what a QEMU that ended wrote to stderr."""
    assert process.stderr is not None  # noqa: S101
    text = (await process.stderr.read()).decode(errors="replace").strip()
    return text.partition("\n")[0]
