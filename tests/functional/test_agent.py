"""The guest agent of a real guest."""

import asyncio
import socket
import time

import pytest

from qemu_cli.errors import RefusedError
from qemu_cli.qmp.sessions import Sessions

#: 6 s under TCG on an idle machine.
BOOT_TIMEOUT_S = 150.0


@pytest.fixture
def guest(real_qemu, tiny_guest, short_dir):
    """A booted guest, and its agent's port."""
    port, log = short_dir / "agent", short_dir / "serial"
    qemu = real_qemu(
        *("-machine", "q35", "-accel", "tcg", "-m", "256", "-no-reboot"),
        *("-kernel", str(tiny_guest.kernel)),
        *("-initrd", str(tiny_guest.initrd)),
        *("-append", "console=ttyS0 quiet", "-serial", f"file:{log}"),
        *("-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0"),
        *("-chardev", f"socket,id=qga0,path={port},server=on,wait=off"),
        *("-device", "virtio-serial-pci", "-device"),
        "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0",
        monitors=4,
    )
    end = time.monotonic() + BOOT_TIMEOUT_S
    while "GUEST-READY" not in log.read_text(errors="replace"):
        assert time.monotonic() < end, log.read_text(errors="replace")
        time.sleep(0.1)
    return qemu, qemu.monitors._replace(agent=str(port))


def test_the_agent_of_a_real_guest(guest):
    """One boot, for it is the boot that costs."""
    qemu, monitors = guest
    sessions = Sessions()

    async def talk(work):
        async with sessions.agent(monitors, timeout_s=60) as agent:
            return await work(agent)

    async def questions(agent):
        info = await agent.info()
        assert "guest-exec" in info.commands
        assert await agent.os_name()
        names = {one.name: one for one in await agent.interfaces()}
        assert "127.0.0.1/8" in names["lo"].addresses
        echo = await agent.run(
            ["/bin/sh", "-c", "cat; echo e >&2; exit 3"], stdin=b"\xffin"
        )
        assert echo == (3, None, b"\xffin", b"e\n", False)
        killed = await agent.run(["/bin/sh", "-c", "kill -9 $$"])
        assert (killed.exit_code, killed.signal) == (None, 9)
        with pytest.raises(RefusedError, match="/nosuch"):
            await agent.run(["/nosuch"])
        with pytest.raises(RefusedError) as caught:
            await agent.execute("guest-nosuch")
        assert caught.value.error_class == "CommandNotFound"

    async def leftovers(agent):
        assert await agent.execute("guest-ping") == {}

    async def power_off(agent):
        async with (
            sessions.open(monitors) as session,
            session.listen("SHUTDOWN") as events,
        ):
            await agent.shutdown()
            event = await events.get(60)
        assert event.data["reason"] == "guest-shutdown"

    asyncio.run(talk(questions))
    # A client that asks, does not listen, and leaves half a message.
    with socket.socket(socket.AF_UNIX) as rude:
        rude.connect(monitors.agent)
        rude.sendall(b'{"execute": "guest-info"}\n' * 3 + b'{"execute": "gu')
    asyncio.run(talk(leftovers))
    asyncio.run(talk(power_off))
    assert qemu.process.wait(60) == 0
