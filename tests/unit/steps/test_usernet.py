"""QEMU's own network stack, by what it says to the human monitor."""

import asyncio

import pytest

from qemu_cli.errors import RefusedError
from qemu_cli.steps.usernet import FORWARD, AddForward, DropForward, parse

#: As QEMU 7.2 says it.
TABLE = (
    "Hub -1 (net0):\r\n"
    "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port "
    "RecvQ SendQ\r\n"
    "  TCP[HOST_FORWARD]   8       127.0.0.1 34567       10.0.2.15    22 "
    "    0     0\r\n"
    "  TCP[ESTABLISHED]   14       10.0.2.15 40112         1.2.3.4   443 "
    "   17     9\r\n"
    "  UDP[236 sec]       13       10.0.2.15 40113        10.0.2.3    53 "
    "    0     0\r\n"
    "  ICMP[10 sec]       15       10.0.2.15    -         10.0.2.2    -  "
    "    0     0\r\n"
    "Hub -1 (net1):\r\n"
    "  UDP[HOST_FORWARD]  16               * 34568       10.0.2.15    53 "
    "    0     0\r\n"
)


class Stack:
    """Hands to a QEMU that says what it is told to."""

    def __init__(self, *, refuses: bool = False, table: str = "") -> None:
        self.refuses = refuses
        self.table = table
        self.said: list[str] = []

    async def runs(self) -> bool:
        return True

    async def execute(self, command: str, arguments: dict[str, str]) -> str:
        line = arguments["command-line"]
        self.said.append(line)
        if line == "info usernet":
            return self.table
        return "Could not set up …\r\n" if self.refuses else ""


def test_each_stack_has_its_flows() -> None:
    table = parse(TABLE)
    assert list(table) == ["net0", "net1"]
    forward, established, udp, icmp = table["net0"]
    assert forward.state == FORWARD
    assert forward.rule == "tcp:127.0.0.1:34567-:22"
    assert established[1:] == (
        *("tcp", "ESTABLISHED", "10.0.2.15", 40112, "1.2.3.4", 443),
        *(17, 9, 14),
    )
    assert (udp.protocol, udp.state) == ("udp", "236 sec")
    assert (icmp.protocol, icmp.source_port) == ("icmp", 0)
    assert table["net1"][0].rule == "udp:0.0.0.0:34568-:53"


def test_no_user_network_has_no_flows() -> None:
    assert parse("") == {}


def test_doing_it_again_is_harmless() -> None:
    hands = Stack(refuses=True, table=TABLE)
    asyncio.run(AddForward("net0", "tcp:127.0.0.1:34567-:22").do(hands))
    assert hands.said[0] == "hostfwd_add net0 tcp:127.0.0.1:34567-:22"


def test_a_refusal_says_what_qemu_says() -> None:
    hands = Stack(refuses=True, table=TABLE)
    with pytest.raises(RefusedError, match="Could not set up"):
        asyncio.run(AddForward("net1", "tcp:127.0.0.1:34567-:22").do(hands))


def test_each_undoes_the_other() -> None:
    rule = "udp:0.0.0.0:5353-:53"
    hands = Stack()
    asyncio.run(AddForward("net0", rule).undo(hands))
    asyncio.run(DropForward("net0", rule).undo(hands))
    assert hands.said == [
        "hostfwd_remove net0 udp:0.0.0.0:5353",
        f"hostfwd_add net0 {rule}",
    ]
