"""--trace-qmp: all that is said to a real QEMU, but for secrets."""

import asyncio
import re

from qemu_cli.qmp.sessions import Sessions
from qemu_cli.qmp.trace import Trace
from qemu_cli.testing.home import QemuHome

LINE = re.compile(r"([→←]) +\d+\.\d ms (\S+) (\{.*\})")


def test_the_life_of_a_vm(qemu_home: QemuHome) -> None:
    def said(*words: str) -> list[tuple[str, str, str]]:
        result = qemu_home("--trace-qmp", *words)
        assert result.rc == 0, result.err
        lines = result.err.splitlines()
        return [m.groups() for line in lines if (m := LINE.fullmatch(line))]

    def asked(*words: str) -> set[tuple[str, str]]:
        """The monitors, and what they were told."""
        return {
            (monitor, re.findall(r'"execute": "([\w-]+)"', text)[0])
            for arrow, monitor, text in said(*words)
            if arrow == "→"
        }

    said("create", "vm", "--memory", "64M", "--accel", "tcg", "--nic", "none")
    assert any("QMP" in text for _, _, text in said("start", "vm"))
    assert ("vm/probe", "query-status") in asked("list")
    assert ("vm/control", "stop") in asked("pause", "vm")
    assert ("vm/control", "cont") in asked("resume", "vm")
    listed = qemu_home("--trace-qmp", "list", "-f", "json")
    assert listed.json[0]["state"] == "running"  # stdout is data
    assert "→" not in qemu_home("list").err
    ended = asked("shutdown", "vm", "--timeout", "1s", "--force")
    assert {
        ("vm/control", "query-chardev"),
        ("vm/control", "system_powerdown"),
        ("vm/control", "quit"),
    } <= ended


def test_secrets_are_hidden(real_qemu) -> None:
    lines: list[str] = []
    vnc = ("-machine", "none", "-vnc", "none,password=on")
    qemu = real_qemu(*vnc)

    async def tell() -> None:
        sessions = Sessions(trace=Trace(lines.append))
        async with sessions.open(qemu.monitors) as session:
            await session.execute(
                "object-add",
                {"qom-type": "secret", "id": "s", "data": "LetMeIn"},
            )
            await session.execute(
                "set_password", {"protocol": "vnc", "password": "LetMeIn"}
            )
            await session.human("set_password vnc LetMeIn")
            await session.human("object_add secret,id=t,data=LetMeIn")

    asyncio.run(tell())
    whole = "".join(lines)
    assert whole.count("<hidden>") == 4
    assert "LetMeIn" not in whole
