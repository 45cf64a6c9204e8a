"""Running a program, such as qemu-img, to its end."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection
from pathlib import Path

from qemu_cli.errors import ToolError


async def run_tool(
    argv: tuple[str, ...],
    *,
    listen: Callable[[bytes], None] | None = None,
    good: Collection[int] = (0,),
) -> str:
    """Run a program to its end; it dies when we are cancelled.

    :param argv: the program and its arguments
    :param listen: gets every piece of its stdout as it comes
    :param good: exit codes that are no failure
    :return: its stdout
    :raise ToolError: when it can't be run or exits with another code;
        the message ends with its own words
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as error:
        raise ToolError(
            f"{argv[0]} can't be run: {error.strerror}",
            hint="'qemu doctor' names the package",
        ) from error
    try:
        if listen is None:
            out, err = await process.communicate()
        else:
            out, err = await _communicate(process, listen)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode not in good:
        words = err.decode(errors="replace").strip() or "no message"
        raise ToolError(f"{Path(argv[0]).name} failed: {words}")
    return out.decode(errors="replace")


async def _communicate(
    process: asyncio.subprocess.Process, listen: Callable[[bytes], None]
) -> tuple[bytes, bytes]:
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    errors = asyncio.ensure_future(process.stderr.read())
    pieces = []
    while piece := await process.stdout.read(4096):
        listen(piece)
        pieces.append(piece)
    err = await errors
    await process.wait()
    return b"".join(pieces), err
