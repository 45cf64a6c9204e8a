"""QEMU's own network stack (libslirp): its sockets, and its forwards.

There is no QMP for them, only the human monitor, whose answers are text:
``info usernet``, ``hostfwd_add`` and ``hostfwd_remove`` (hmp-commands.hx).
"""

import re
from typing import NamedTuple

from qemu_cli.errors import RefusedError
from qemu_cli.steps.base import Hands, Step

#: What ``info usernet`` calls a listening port of the host.
FORWARD = "HOST_FORWARD"

_STACK = re.compile(r"Hub -?\d+ \((?P<netdev>.*)\):")
_LINE = re.compile(
    r"\s+(?P<protocol>[A-Z]+)\[(?P<state>[^\]]*)\]?\s+(?P<fd>-?\d+)"
    r"\s+(?P<source>\S+)\s+(?P<source_port>\d+|-)"
    r"\s+(?P<target>\S+)\s+(?P<target_port>\d+|-)"
    r"\s+(?P<receiving>\d+)\s+(?P<sending>\d+)\s*"
)


class Flow(NamedTuple):
    """A line of the stack's table.

    The source of a forward is where the host listens; that of all others
    is in the guest, or the client that came in through a forward.

    :param state: such as ``ESTABLISHED``, :data:`FORWARD`, or for UDP and
        ICMP how long it still lives, as in ``236 sec``
    :param receiving_bytes: what waits for the guest
    :param sending_bytes: what waits for the host
    :param fd: QEMU's descriptor of its socket on this host
    """

    netdev: str
    protocol: str
    state: str
    source: str
    source_port: int
    target: str
    target_port: int
    receiving_bytes: int
    sending_bytes: int
    fd: int

    @property
    def rule(self) -> str:
        """Of a forward: what :class:`AddForward` takes."""
        return (
            f"{self.protocol}:{self.source}:{self.source_port}"
            f"-:{self.target_port}"
        )


def parse(text: str) -> dict[str, list[Flow]]:
    """Read what ``info usernet`` says: the flows of each user network."""
    found: dict[str, list[Flow]] = {}
    flows: list[Flow] = []
    netdev = ""
    for line in text.splitlines():
        if stack := _STACK.match(line):
            netdev = stack["netdev"]
            flows = found.setdefault(netdev, [])
        elif match := _LINE.fullmatch(line):
            flows.append(
                Flow(
                    netdev,
                    match["protocol"].lower(),
                    match["state"],
                    _address(match["source"]),
                    _port(match["source_port"]),
                    _address(match["target"]),
                    _port(match["target_port"]),
                    int(match["receiving"]),
                    int(match["sending"]),
                    int(match["fd"]),
                )
            )
    return found


class AddForward(Step, frozen=True, tag=True):
    """Have the user network listen on a port of the host.

    ``rule`` is as in ``tcp:127.0.0.1:2222-:22``.
    """

    netdev: str
    rule: str

    def describe(self) -> str:
        return f"hmp hostfwd_add {self.netdev} {self.rule}"

    async def do(self, hands: Hands) -> None:
        said = await _human(hands, f"hostfwd_add {self.netdev} {self.rule}")
        if said and not await self._is_there(hands):
            raise RefusedError(
                f"QEMU could not add the forward {self.rule}: {said.strip()}",
                command="human-monitor-command",
            )

    async def undo(self, hands: Hands) -> None:
        await DropForward(self.netdev, self.rule).do(hands)

    async def _is_there(self, hands: Hands) -> bool:
        flows = parse(await _human(hands, "info usernet"))
        return any(
            flow.state == FORWARD and flow.rule == self.rule
            for flow in flows.get(self.netdev, ())
        )


class DropForward(Step, frozen=True, tag=True):
    """Stop listening; connections that there are go on."""

    netdev: str
    rule: str

    @property
    def _line(self) -> str:
        listens = self.rule.rpartition("-")[0]
        return f"hostfwd_remove {self.netdev} {listens}"

    def describe(self) -> str:
        return f"hmp {self._line}"

    async def do(self, hands: Hands) -> None:
        # It says "not found" when it was done before.
        if await hands.runs():
            await _human(hands, self._line)

    async def undo(self, hands: Hands) -> None:
        if await hands.runs():
            await AddForward(self.netdev, self.rule).do(hands)


async def _human(hands: Hands, line: str) -> str:
    return str(
        await hands.execute("human-monitor-command", {"command-line": line})
    )


def _address(text: str) -> str:
    return "0.0.0.0" if text == "*" else text  # noqa: S104


def _port(text: str) -> int:
    return 0 if text == "-" else int(text)
