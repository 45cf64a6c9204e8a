"""The network cards of a VM, by what it says to the human monitor."""

from pathlib import Path

import pytest

from qemu_cli.errors import QemuCliError, StateError
from qemu_cli.instance.net import rehearsal
from qemu_cli.instance.net.addresses import read_arp
from qemu_cli.instance.net.cards import Card, parse
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths

#: As QEMU 7.2 says it.
NETWORK = (
    "e1000.0: index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:56\r\n"
    " \\ n0: index=0,type=user,net=10.0.2.0,restrict=off\r\n"
    "virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,"
    "macaddr=52:54:00:12:34:57\r\n"
    " \\ t0: index=0,type=tap,ifname=tq0,script=no,downscript=no\r\n"
    "virtio-net-pci.1: index=1,type=nic,\r\n"
    " \\ t0: index=1,type=tap,ifname=tq0,script=no,downscript=no\r\n"
    "v0: index=0,type=vhost-user,vhost-user to unix:/run/v\r\n"
)

STOPPED = VM("web", InstancePaths(Path("/x"), Path("/y")), "stopped")


def cards() -> list[Card]:
    return parse("web", NETWORK)


def test_all_queues_are_of_one_card() -> None:
    found = [(card.id, card.netdev, card.queues) for card in cards()]
    assert found == [
        ("e1000.0", "n0", 1),
        ("virtio-net-pci.0", "t0", 2),
        (None, "v0", 1),
    ]


@pytest.mark.parametrize(
    ("netdev", "why"), [("t0", "2 queues"), ("v0", "past QEMU")]
)
def test_what_qemu_does_not_see(netdev: str, why: str) -> None:
    with pytest.raises(StateError, match=why):
        rehearsal.check_seen(STOPPED, cards(), netdev)


def test_what_it_sees() -> None:
    rehearsal.check_seen(STOPPED, cards(), "n0")


def test_a_qemu_that_is_not_here() -> None:
    with pytest.raises(QemuCliError, match="out of sight"):
        rehearsal.check_here(STOPPED)


#: As Linux 6.1 shows it; the last one has not answered.
ARP = """\
IP address       HW type     Flags       HW address            Mask     Device
192.168.122.7    0x1         0x2         52:54:00:AA:bb:cc     *        virbr0
192.168.122.8    0x1         0x2         52:54:00:aa:bb:cc     *        virbr0
192.168.122.9    0x1         0x0         00:00:00:00:00:00     *        virbr0
"""


def test_who_is_behind_a_bridge() -> None:
    found = read_arp(ARP)
    assert found == {"52:54:00:aa:bb:cc": ("192.168.122.7", "192.168.122.8")}
    assert read_arp("") == {}
