"""create: NICs, forwards and bridges."""

import contextlib
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome
from tests.functional.create.making import make, start


def test_no_nic(qemu_home: QemuHome) -> None:
    assert make(qemu_home, "vm", "--nic", "none").nics == ()
    assert "-netdev" not in start(qemu_home, "vm")


def test_forwards(qemu_home: QemuHome) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        typed = free.getsockname()[1]
    options = ("--forward", "22", "--forward", f"{typed}:80",
               "--forward", "0.0.0.0:0:53/udp")  # fmt: skip
    definition = make(qemu_home, "vm", *options)
    chosen = definition.forwards[0].host_port
    assert [(f.host_address, f.guest_port, f.protocol)
            for f in definition.forwards] == [
        ("127.0.0.1", 22, "tcp"),
        ("127.0.0.1", 80, "tcp"),
        ("0.0.0.0", 53, "udp"),
    ]  # fmt: skip
    assert definition.forwards[1].host_port == typed
    start(qemu_home, "vm")
    for port in (chosen, typed):
        with socket.create_connection(("127.0.0.1", port), 30):
            pass
    # What was chosen once is another VM's no more, running or not.
    assert qemu_home("quit", "vm").rc == 0
    result = qemu_home("create", "other", "--forward", f"{typed}:22")
    assert result.rc == 4
    assert "belongs to instance 'vm'" in result.err
    # A port of one protocol is not that of another.
    both = f"{typed}:53/udp"
    made = qemu_home("create", "dns", "--forward", both)
    assert made.rc == 0
    assert f"127.0.0.1:{typed}→53/udp\n" in made.out
    assert f" {typed}→53/udp\n" in qemu_home("list", "dns").out
    assert qemu_home("create", "dns2", "--forward", both).rc == 4


def test_a_forward_that_is_in_use_when_it_starts(
    qemu_home: QemuHome,
) -> None:
    (forward,) = make(qemu_home, "vm", "--forward", "22").forwards
    with socket.socket() as other:
        other.bind(("127.0.0.1", forward.host_port))
        other.listen()
        result = qemu_home("start", "vm")
    assert result.rc == 5
    assert "Could not set up host forwarding rule" in result.err
    assert "another program uses that host port" in result.err
    assert f"hostfwd=tcp:127.0.0.1:{forward.host_port}-:22" in result.err


BRIDGE = "qctest0"


CONF = Path("/etc/qemu/bridge.conf")


@pytest.fixture
def bridge() -> Iterator[str]:
    """A bridge of the host; needs root."""
    subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
    yield BRIDGE
    subprocess.run(["ip", "link", "del", BRIDGE], check=True)


@contextlib.contextmanager
def allowed(bridge: str) -> Iterator[None]:
    """QEMU's helper may use the bridge; the file is put back."""
    before = CONF.read_bytes() if CONF.exists() else None
    made = not CONF.parent.exists()
    CONF.parent.mkdir(exist_ok=True)
    CONF.write_bytes((before or b"") + f"\nallow {bridge}\n".encode())
    try:
        yield
    finally:
        if before is not None:
            CONF.write_bytes(before)
        else:
            CONF.unlink()
            if made:
                CONF.parent.rmdir()


# One test: the bridge and the file are the host's, and tests run in parallel.
def test_a_bridge(qemu_home: QemuHome, bridge: str) -> None:
    definition = make(qemu_home, "vm", "--nic", f"bridge={bridge}")
    assert definition.nics[0].bridge == bridge
    result = qemu_home("start", "vm")
    assert result.rc == 5
    assert f"no tap device on bridge '{bridge}'" in result.err
    assert f"allow {bridge}" in result.err
    (row,) = qemu_home("list", "vm", "-f", "json").json
    assert row["state"] == "stopped"
    with allowed(bridge):
        argv = start(qemu_home, "vm")
    assert re.match(r"tap,id=net0,fd=\d+", argv[argv.index("-netdev") + 1])
    members = Path(f"/sys/class/net/{bridge}/brif")
    assert len(list(members.iterdir())) == 1
    assert qemu_home("quit", "vm").rc == 0
    assert list(members.iterdir()) == []
