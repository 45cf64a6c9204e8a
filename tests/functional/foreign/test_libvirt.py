"""A domain of libvirt: listed, never disturbed, and left to virsh."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu_cli.proc import ProcFS
from qemu_cli.testing.home import QemuHome
from tests.functional.foreign.libvirt import Libvirt, libvirtd
from tests.functional.foreign.test_commands import (
    ASKS,
    LOG,
    REFUSED,
    asking,
    with_name,
)

NAME = f"domain-{os.getpid()}"


@pytest.fixture
def libvirt(short_dir: Path) -> Iterator[Libvirt]:
    with libvirtd(short_dir / "l") as running:
        yield running


def test_a_domain_is_seen_and_left_alone(
    libvirt: Libvirt, qemu_home: QemuHome
) -> None:
    pid = libvirt.start(NAME)
    before = libvirt.virsh("dumpxml", NAME)
    for _ in range(10):
        listed = qemu_home("list", f"pid:{pid}", "-f", "json")
        [row] = listed.json
        assert (row["name"], row["origin"]) == (NAME, "libvirt")
        assert (row["state"], row["monitor"]) == ("running", "held")
        holder = {"pid": libvirt.pid, "program": "libvirtd"}
        assert row["monitor_holder"] == holder
    by_name = qemu_home("show", f"libvirt:{NAME}", "-f", "json")
    assert by_name.json["pid"] == pid
    # What asks QEMU is told who does so for a living; what needs a
    # definition, where that is.
    for command in ASKS:
        refused = qemu_home(*asking(command, NAME))
        assert refused.rc == 6, (command, refused)
        told = f"libvirtd (pid {libvirt.pid}) holds the monitor of '{NAME}'"
        assert told in refused.err, command
        assert "use 'virsh'" in refused.err, command
    for command, why in REFUSED:
        refused = qemu_home(*with_name(command, NAME))
        assert refused.rc == 4, (command, refused)
        assert why in refused.err, command
        ways = ("it belongs to libvirt: use 'virsh'", "'qemu join pid:")
        assert ways[why == LOG] in refused.err, command
    asked = qemu_home("shutdown", NAME, "--timeout", "1s")
    assert (asked.rc, "use 'virsh'" in asked.err) == (6, True), asked
    # libvirt has noticed none of it.
    assert libvirt.virsh("dumpxml", NAME) == before
    assert libvirt.virsh("domstate", NAME).strip() == "running"
    human = ("qemu-monitor-command", NAME, "--hmp", "info status")
    assert "running" in libvirt.virsh(*human)
    libvirt.virsh("destroy", NAME)
    assert ProcFS().process(pid) is None
