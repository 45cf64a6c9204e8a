"""The human monitor: what is typed, and what is understood of the answer."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from qemu_cli.errors import (
    ConnectionLostError,
    QemuCliError,
    RefusedError,
    StateError,
    TimedOutError,
    UsageError,
)
from qemu_cli.qmp import human

BANNER = b"QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) "
PROBLEM = StateError("only HMP")


def talk(
    *pieces: bytes, command: str, arguments: Any = None, hang: bool = False
) -> tuple[Any, bytes]:
    """Have a command answered with these bytes, each sent for itself.

    :param hang: the monitor stays open then, and silent
    :return: what the command returned, and what had been typed
    """

    async def run() -> tuple[Any, bytes]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        typed = b""

        async def answer() -> None:
            nonlocal typed
            await loop.sock_sendall(theirs, BANNER)
            while not typed.endswith(b"\n"):
                typed += await loop.sock_recv(theirs, 100)
            for piece in pieces:
                await loop.sock_sendall(theirs, piece)
                await asyncio.sleep(0.01)
            if not hang:
                theirs.close()

        task = asyncio.create_task(answer())
        link = await human.opened(ours, "m", PROBLEM, timeout_s=5)
        try:
            found = await link.execute(command, arguments, 0.3, None)
        finally:
            await link.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            theirs.close()
        return found, typed

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("VM status: running", "running"),
        ("VM status: running (single step mode)", "running"),
        ("VM status: paused", "paused"),
        ("VM status: paused (io-error)", "io-error"),
        ("VM status: paused (single step mode) (prelaunch)", "prelaunch"),
    ],
)
def test_states(text: str, status: str) -> None:
    found, typed = talk(
        b"i\x1b[K\x1b[Din\x1b[Kfo status\r\n",
        f"{text}\r\n".encode(),
        b"(qe",
        b"mu) ",
        command="query-status",
    )
    assert found == {"running": status == "running", "status": status}
    assert typed == b"info status\n"


def test_a_file_is_quoted() -> None:
    arguments = {"filename": 'a "b\\c', "format": "png"}
    _, typed = talk(b"\r\n(qemu) ", command="screendump", arguments=arguments)
    assert typed == b'screendump "a \\"b\\\\c" -f png\n'


def test_a_prompt_in_the_text_is_not_its_end() -> None:
    found, _ = talk(
        b"x\r\nthe prompt is (qemu) ",
        b"and goes on\r\n(qemu) ",
        command="human-monitor-command",
        arguments={"command-line": "x"},
    )
    assert found == "the prompt is (qemu) and goes on\r\n"


def refused(call: Callable[[], object], kind: type[QemuCliError]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_what_goes_wrong() -> None:
    ended = refused(
        lambda: talk(b"stop\r\n", command="stop"), ConnectionLostError
    )
    assert "closed m before it answered" in ended
    silent = refused(
        lambda: talk(b"stop\r\n", command="stop", hang=True), TimedOutError
    )
    assert "did not answer in 0.3 s" in silent
    error = refused(
        lambda: talk(b"x\r\nError: no\r\n(qemu) ", command="cont"),
        RefusedError,
    )
    assert "Error: no" in error
    odd = refused(
        lambda: talk(b"x\r\nwhat?\r\n(qemu) ", command="query-status"),
        QemuCliError,
    )
    assert "what?" in odd


def test_what_is_not_translated_is_the_problem() -> None:
    for command, arguments in (("query-block", None), ("stop", {"a": 1})):
        told = refused(
            lambda command=command, arguments=arguments: talk(  # type: ignore[misc]
                command=command, arguments=arguments, hang=True
            ),
            StateError,
        )
        assert told == "only HMP"


def test_only_one_line_is_typed() -> None:
    line = {"command-line": "info status\nquit"}
    refused(
        lambda: talk(
            command="human-monitor-command", arguments=line, hang=True
        ),
        UsageError,
    )
