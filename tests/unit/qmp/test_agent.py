"""agent: its protocol, against a fake agent."""

import asyncio
import base64
import os
import time

import pytest

from qemu_cli.errors import (
    BusyError,
    ConnectionLostError,
    RefusedError,
    StateError,
    TimedOutError,
)
from qemu_cli.qmp.address import Monitors
from qemu_cli.qmp.agent import Finished, Interface
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.qmp.trace import Trace

PATIENCE_S = 30.0


def talk(fake, work, *, timeout_s=PATIENCE_S, trace=None):
    """Do some work with an agent of our own."""

    async def main():
        monitors = Monitors(agent=fake.path, pid=os.getpid())
        sessions = Sessions(trace=trace)
        async with sessions.agent(monitors, timeout_s=timeout_s) as agent:
            return await work(agent)

    return asyncio.run(main())


def execute(fake, command, **options):
    return talk(fake, lambda agent: agent.execute(command, **options))


@pytest.fixture
def fake(fake_agent):
    fake = fake_agent()
    fake.on("guest-ping", {})
    return fake


def test_it_begins_with_a_synchronization(fake):
    assert execute(fake, "guest-ping") == {}
    commands = [message["execute"] for message in fake.received]
    assert commands == ["guest-sync-delimited", "guest-ping"]


@pytest.mark.parametrize(
    "leftovers",
    [
        b'{"return": {"pid": 144}}\n',
        b'{"return": 1}\n{"return": 2, "id": "x-1"}\n',
        b'{"error": {"class": "GenericError", "desc": "syntax"}}\n',
        b'{"return": {"cut',
        b"\xff\xff\n\xff",
        b"[]\nnull\n",
    ],
)
def test_a_former_clients_replies_are_skipped(fake_agent, leftovers):
    fake = fake_agent(leftovers=leftovers)
    fake.on("guest-ping", {"mine": True})
    assert execute(fake, "guest-ping") == {"mine": True}


def test_late_replies_are_nobodys(fake):
    fake.on("guest-get-osinfo", {"name": "late"}, delay_s=0.2)

    async def work(agent):
        with pytest.raises(TimedOutError):
            await agent.execute("guest-get-osinfo", timeout_s=0.02)
        return await agent.execute("guest-ping")

    assert talk(fake, work) == {}


def test_no_agent_in_the_guest(fake):
    fake.on("guest-sync-delimited", silent=True)
    with pytest.raises(TimedOutError, match="agent did not answer"):
        talk(fake, None, timeout_s=0.1)


def test_no_port():
    async def main():
        async with Sessions().agent(Monitors(control="/x")):
            pass

    with pytest.raises(StateError, match="no port"):
        asyncio.run(main())


def test_a_second_client_is_told(fake):
    async def work(agent):
        monitors = Monitors(agent=fake.path)
        async with Sessions().agent(monitors, timeout_s=0.05):
            pass

    with pytest.raises(BusyError, match=str(os.getpid())):
        talk(fake, work)


def test_refusals(fake):
    fake.on("guest-exec", error=("GenericError", "the agent is frozen"))
    with pytest.raises(RefusedError, match="guest-exec: the agent is"):
        execute(fake, "guest-exec")
    with pytest.raises(RefusedError) as caught:
        execute(fake, "guest-nope")
    assert caught.value.error_class == "CommandNotFound"


def test_qemu_ends(fake):
    fake.on("guest-ping", close=True)
    with pytest.raises(ConnectionLostError):
        execute(fake, "guest-ping")


def test_info(fake):
    known = [
        {"name": "guest-exec", "enabled": True, "success-response": True},
        {"name": "guest-ping", "enabled": False, "success-response": True},
    ]
    result = {"version": "7.2.22", "supported_commands": known}
    fake.on("guest-info", result)
    info = talk(fake, lambda agent: agent.info())
    assert info == ("7.2.22", frozenset({"guest-exec"}))


@pytest.mark.parametrize("end", [{"silent": True}, {"close": True}])
def test_shutdown_has_no_reply(fake, end):
    fake.on("guest-shutdown", **end)
    began = time.monotonic()
    talk(fake, lambda agent: agent.shutdown())
    assert time.monotonic() - began < PATIENCE_S
    assert fake.received[-1]["arguments"] == {"mode": "powerdown"}


def test_shutdown_refused(fake):
    fake.on("guest-shutdown", error=("GenericError", "no"))
    with pytest.raises(RefusedError):
        talk(fake, lambda agent: agent.shutdown())


def test_freeze_and_thaw(fake):
    fake.on("guest-fsfreeze-freeze", 2)
    fake.on("guest-fsfreeze-status", "frozen")
    fake.on("guest-fsfreeze-thaw", 2)

    async def work(agent):
        return (
            await agent.freeze(),
            await agent.is_frozen(),
            await agent.thaw(),
        )

    assert talk(fake, work) == (2, True, 2)


def test_interfaces(fake):
    fake.on(
        "guest-network-get-interfaces",
        [
            {
                "name": "eth0",
                "hardware-address": "52:54:00:12:34:56",
                "ip-addresses": [
                    {
                        "ip-address-type": "ipv4",
                        "ip-address": "10.0.2.15",
                        "prefix": 24,
                    }
                ],
            },
            {"name": "sit0"},
        ],
    )
    assert talk(fake, lambda agent: agent.interfaces()) == [
        Interface("eth0", "52:54:00:12:34:56", ("10.0.2.15/24",)),
        Interface("sit0", None, ()),
    ]


def test_os_name(fake):
    fake.on("guest-get-osinfo", {"pretty-name": "Debian 12", "name": "D"})
    assert talk(fake, lambda agent: agent.os_name()) == "Debian 12"
    fake.on("guest-get-osinfo", {})
    assert talk(fake, lambda agent: agent.os_name()) == ""


def test_run(fake):
    lines = []
    fake.on("guest-exec", {"pid": 5})
    fake.on(
        "guest-exec-status",
        {
            "exited": True,
            "exitcode": 3,
            "out-data": base64.b64encode(b"\xffout").decode(),
            "err-truncated": True,
        },
    )
    finished = talk(
        fake,
        lambda agent: agent.run(["/bin/x", "-y"], stdin=b"key"),
        trace=Trace(lines.append),
    )
    assert finished == Finished(3, None, b"\xffout", b"", True)
    sent = fake.received[1]["arguments"]
    assert (sent["path"], sent["arg"]) == ("/bin/x", ["-y"])
    assert base64.b64decode(sent["input-data"]) == b"key"
    assert sent["input-data"] not in "".join(lines)


def test_run_without_end(fake):
    fake.on("guest-exec", {"pid": 5})
    fake.on("guest-exec-status", {"exited": False})
    with pytest.raises(TimedOutError, match="/bin/x"):
        talk(fake, lambda agent: agent.run(["/bin/x"], timeout_s=0.1))
