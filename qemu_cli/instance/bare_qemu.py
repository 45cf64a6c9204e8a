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
    """Run a QEMU with no devices and stopped CPUs, for the time of the block.

    :param options: further command-line options
    :param timeout_s: for the whole block
    :raise ToolError: when it can't run or dies, with its own words
    :raise TimedOutError: when it does not answer in time
    """
    process = await spawn(
        *(binary, "-machine", machine, *options, "-S"),
        *("-chardev", "stdio,id=monitor"),
        *("-mon", "chardev=monitor,mode=control"),
    )
    try:
        async with asyncio.timeout(timeout_s):
            qemu = BareQemu(process)
            try:
                await qemu.execute("qmp_capabilities")
                yield qemu
            except ConnectionLostError as error:
                process.kill_if_running()
                raise ToolError(
                    f"{binary} died: {await last_words(process) or error}"
                ) from error
    except TimeoutError as error:
        raise TimedOutError(
            f"{binary} did not answer within {timeout_s:g} s"
        ) from error
    finally:
        await end(process)
