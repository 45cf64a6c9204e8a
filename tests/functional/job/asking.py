"""Jobs for the tests, and what qemu says of them."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from qemu_cli.instance.resolve import resolve
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.testing.home import QemuHome, Result

MIB = 1 << 20


PATIENCE_S = 60.0


SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")


BASE = {"driver": "null-co", "size": 1 << 30}


#: A disk that is full from the first byte on.
FULL = {
    "driver": "blkdebug",
    "image": BASE,
    "inject-error": [
        {"event": "none", "iotype": how, "errno": 28, "once": False}
        for how in ("write", "write-zeroes")
    ],
}


def ok(result: Result) -> Result:
    assert result.rc == 0, result.err
    return result


def qmp(
    home: QemuHome,
    name: str,
    command: str,
    arguments: Mapping[str, Any] | None = None,
    fd: int | None = None,
) -> Any:
    async def work() -> Any:
        sessions = Sessions()
        vm = resolve(home.paths, name, probe=sessions.probe)
        async with sessions.open(vm.monitors) as session, session.exchange():
            if fd is not None:
                await session.execute("getfd", {"fdname": "fd"}, fd=fd)
            return await session.execute(command, arguments)

    return asyncio.run(work())


def rows(home: QemuHome, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ok(
        home("job", "list", *words, "-f", "json")
    ).json
    return found


@contextlib.contextmanager
def backup(
    home: QemuHome,
    id: str = "bk",
    *,
    name: str = "a",
    speed: int = 16 * MIB,
    target: Mapping[str, Any] = BASE,
    **more: Any,
) -> Iterator[None]:
    """A job that takes a minute, for the length of the block."""
    node = f"{id}-target"
    qmp(home, name, "blockdev-add", {**target, "node-name": node})
    arguments = {"device": "disk0", "target": node, "sync": "full"}
    arguments |= {"job-id": id, "speed": speed, "auto-dismiss": False}
    qmp(home, name, "blockdev-backup", {**arguments, **more})
    try:
        yield
    finally:
        if any(job["id"] == id for job in qmp(home, name, "query-jobs")):
            home("job", "cancel", name, "--job", id)
            home("job", "dismiss", name, "--job", id)
        qmp(home, name, "blockdev-del", {"node-name": node})


class Wait:
    """``qemu job wait``, beside us; it has looked at the jobs once."""

    def __init__(self, home: QemuHome, *words: str) -> None:
        self.child = subprocess.Popen(
            [home.executable, "--trace-qmp", "job", "wait", *words],
            env=home.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.child.stderr
        for line in self.child.stderr:
            if "query-dump" in line:
                break

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it has said; not what it has traced."""
        _, err = self.child.communicate(timeout=PATIENCE_S)
        lines = [line for line in err.splitlines() if line[:1] not in "→←"]
        return self.child.returncode, "\n".join(lines)

    def __enter__(self) -> "Wait":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.child.kill()
        self.child.communicate()


def speed_up(home: QemuHome, id: str = "bk", name: str = "a") -> None:
    qmp(home, name, "block-job-set-speed", {"device": id, "speed": 0})


def pid_of(home: QemuHome, name: str) -> int:
    [row] = ok(home("list", name, "-f", "json")).json
    return int(row["pid"])
