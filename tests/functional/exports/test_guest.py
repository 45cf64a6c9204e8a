"""nbd-export of a VM whose guest writes; one guest for all tests."""

import asyncio
import secrets
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from qemu_cli.errors import QemuCliError
from qemu_cli.instance.resolve import resolve
from qemu_cli.qmp.agent import Agent
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest
from tests.functional.ext4_guest import boot, ok, shell
from tests.functional.until import until

if TYPE_CHECKING:
    from .conftest import Machine

_T = TypeVar("_T")

#: Counts on two disks in turn, and always on the first one first.
COUNT = (
    "i=100000000; while [ -e /tmp/go ]; do i=$((i + 1)); echo $i > /tmp/n; "
    "for d in vdb vdc; do "
    "dd if=/tmp/n of=/dev/$d bs=512 conv=sync,fsync 2> /dev/null; "
    "done; done &"
)


@pytest.fixture(scope="module")
def booted(
    home: QemuHome,
    tiny_guest: TinyGuest,
    tmp_path_factory: pytest.TempPathFactory,
) -> "Machine":
    """A guest with an ext4 on /mnt, and two more disks."""
    from .conftest import Machine

    vm = Machine(home, "g")
    boot(vm, tiny_guest, tmp_path_factory.mktemp("fs"), *("--disk", "8M") * 2)
    return vm


def number(image: Path) -> int:
    return int(image.read_bytes()[:9])


@pytest.fixture
def counting(booted: "Machine") -> Iterator["Machine"]:
    shell(booted, f"touch /tmp/go; {COUNT}")
    yield booted
    shell(booted, "rm /tmp/go")
    booted.stop("--hard")
    assert booted.traces() == []
    assert booted.status() == "running"


def test_all_disks_are_of_one_moment(
    counting: "Machine", tmp_path: Path
) -> None:
    seen = []
    for round_ in range(3):
        _, first, second = counting.export()
        time.sleep(1)
        copies = {}
        for disk, uri in (("first", first), ("second", second)):
            copies[disk] = tmp_path / disk
            ok("nbdcopy", uri, copies[disk])
            # The guest goes on, and the export does not.
            ok(
                "qemu-img",
                "compare",
                "-f",
                "raw",
                "-F",
                "raw",
                uri,
                copies[disk],
            )
        one, two = number(copies["first"]), number(copies["second"])
        assert one - two in (0, 1), round_
        assert counting.stop().rc == 0
        seen.append(one)
    assert seen[0] < seen[1] < seen[2]


@pytest.fixture
def mounted(booted: "Machine") -> Iterator["Machine"]:
    shell(booted, "echo >/dev/null; mount | grep -q /mnt && echo MOUNTED")
    yield booted
    booted.stop("--hard")
    assert booted.traces() == []
    assert "LIVES" in shell(booted, "echo x > /mnt/x && sync && echo LI''VES")


def test_frozen_file_systems_are_whole(
    mounted: "Machine", tmp_path: Path
) -> None:
    secret = secrets.token_hex(8)
    shell(mounted, f"echo {secret} > /mnt/not-synced")
    served = mounted.ok("nbd-export", "g", "disk0", "--quiesce")
    assert "1 file system is frozen" in served.err
    shell(mounted, "rm /mnt/not-synced; sync")
    copy = tmp_path / "ext4"
    ok("nbdcopy", served.out.strip(), copy)
    assert secret in ok("debugfs", "-R", "cat /not-synced", copy)
    assert "needs_recovery" not in ok("dumpe2fs", "-h", copy)
    ok("e2fsck", "-f", "-n", copy)


def test_killed_while_the_guest_is_frozen(
    mounted: "Machine",
) -> None:
    """The guardian thaws it, and takes the rest down."""
    program = """
import os, signal, sys
from qemu_cli.app import main
from qemu_cli.steps.nbd import StartServer

async def die(self, hands):
    os.kill(os.getpid(), signal.SIGKILL)

StartServer.do = die
sys.exit(main(["nbd-export", "g", "disk0", "--quiesce"]))
"""
    import sys

    killed = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=mounted.home.environment,
        capture_output=True,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    until(lambda: mounted.traces() == [])
    until(lambda: "was not frozen" in mounted.home("guest", "thaw", "g").err)
    assert mounted.status() == "running"


def test_a_paused_guest_can_not_be_frozen(mounted: "Machine") -> None:
    mounted.ok("pause", "g")
    try:
        refused = mounted.home("nbd-export", "g", "disk0", "--quiesce")
    finally:
        mounted.ok("resume", "g")
    assert refused.rc == 4
    assert "can't hear us" in refused.err


def asked(vm: "Machine", what: Callable[[Agent], Awaitable[_T]]) -> _T:
    """Ask the agent in the guest."""

    async def work() -> _T:
        sessions = Sessions()
        monitors = resolve(
            vm.home.paths, vm.name, probe=sessions.probe
        ).monitors
        async with sessions.agent(monitors, timeout_s=5.0) as agent:
            return await what(agent)

    return asyncio.run(work())


def may_freeze(vm: "Machine") -> bool | None:
    """Whether its agent offers that; None when there is no agent yet."""
    try:
        return "guest-fsfreeze-freeze" in asked(vm, Agent.info).commands
    except QemuCliError:
        return None


def test_somebody_else_holds_the_file_systems(mounted: "Machine") -> None:
    """They stay so: that is somebody else's snapshot, perhaps."""

    asked(mounted, Agent.freeze)
    try:
        for words in (
            ("nbd-export", "g", "disk0", "--quiesce"),
            ("snapshot", "create", "g", "s", "--external", "--quiesce"),
        ):
            refused = mounted.home(*words)
            assert refused.rc == 4, refused.err
            assert "are frozen already" in refused.err
            assert "'qemu guest thaw g'" in refused.err
        assert mounted.traces() == []
    finally:
        thawed = mounted.ok("guest", "thaw", "g")
    assert "1 file system thawed" in thawed.err


#: An agent that may not do what RHEL's may not, by default.
FORBID = r"""mv /usr/sbin/qemu-ga /usr/sbin/qemu-ga.real
cat > /usr/sbin/qemu-ga << 'END'
#!/bin/sh
exec qemu-ga.real -b guest-fsfreeze-freeze{more} "$@"
END
chmod 755 /usr/sbin/qemu-ga; killall qemu-ga"""


@pytest.mark.parametrize("more", ["", ",guest-fsfreeze-thaw"])
def test_the_agent_refuses(mounted: "Machine", more: str) -> None:
    """Nothing is exported, nothing stays frozen, and it says who refuses."""
    words = ("nbd-export", "g", "disk0", "--quiesce")
    shell(mounted, FORBID.format(more=more))
    try:
        until(lambda: may_freeze(mounted) is False)
        refused = mounted.home(*words)
        assert refused.rc == 5
        assert "may still be frozen" not in refused.err
        assert refused.out == ""
        assert mounted.traces() == []
        assert "LIVES" in shell(
            mounted, "echo z > /mnt/z && sync && echo LI''VES"
        )
    finally:
        shell(
            mounted,
            "mv /usr/sbin/qemu-ga.real /usr/sbin/qemu-ga; "
            "killall qemu-ga.real qemu-ga",
        )
        until(lambda: may_freeze(mounted))
    assert "1 file system is frozen" in mounted.ok(*words).err
