"""Programs in the guest: ``guest-exec``."""

import asyncio
import base64
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from qemu_cli.qmp.agent.conversation import Conversation, limited

#: How often a program in the guest is asked whether it has ended.
_POLL_S = (0.02, 0.05, 0.1, 0.2)


class Finished(NamedTuple):
    """How a program in the guest ended (``guest-exec-status``)."""

    exit_code: int | None  # None: a signal ended it
    signal: int | None
    out: bytes
    err: bytes
    truncated: bool  # the agent keeps 16 MiB of each


class Programs(Conversation):
    """What the agent does with programs."""

    async def begin(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        environment: Sequence[str] = (),
        capture: bool = True,
    ) -> int:
        """Start a program in the guest, in a session of its own (setsid).

        :param argv: the program and its arguments; no shell
        :param environment: ``NAME=value``; none is the agent's own
        :param capture: the agent keeps what it writes, until it ends
        :return: its pid in the guest
        :raise RefusedError: there is no such program
        """
        arguments: dict[str, Any] = {
            "path": argv[0],
            "arg": list(argv[1:]),
            "capture-output": capture,
        }
        if stdin:
            arguments["input-data"] = base64.b64encode(stdin).decode()
        if environment:
            arguments["env"] = list(environment)
        return int((await self.execute("guest-exec", arguments))["pid"])

    async def finished(self, pid: int) -> Finished | None:
        """Ask whether a program has ended; the agent tells that once.

        :raise RefusedError: it knows of no such program, or it has told
        """
        status = await self.execute("guest-exec-status", {"pid": pid})
        if not status["exited"]:
            return None
        return Finished(
            status.get("exitcode"),
            status.get("signal"),
            base64.b64decode(status.get("out-data", "")),
            base64.b64decode(status.get("err-data", "")),
            status.get("out-truncated", False)
            or status.get("err-truncated", False),
        )

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        environment: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> Finished:
        """Run a program in the guest and wait for its end.

        :param timeout_s: for the program; it goes on when that is over
        :raise RefusedError: there is no such program
        :raise TimedOutError: it has not ended
        """
        pid = await self.begin(argv, stdin=stdin, environment=environment)
        pauses = itertools.chain(_POLL_S, itertools.repeat(_POLL_S[-1]))
        async with limited(argv[0], timeout_s):
            for pause_s in pauses:
                if finished := await self.finished(pid):
                    return finished
                await asyncio.sleep(pause_s)
        raise AssertionError  # the pauses have no end
