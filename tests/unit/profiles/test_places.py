"""Where a device that is no disk and no NIC goes."""

import pytest

from qemu_cli.profiles.microvm import Microvm
from qemu_cli.profiles.q35 import Q35


@pytest.mark.parametrize(
    ("slot", "words"),
    [
        ("rp3", "bus=rp3,addr=0x0"),
        ("usb:2", "bus=usb0.0,port=2"),
        ("pcie.0:1e", "bus=pcie.0,addr=0x1e"),
    ],
)
def test_a_place_on_a_pci_board(slot: str, words: str) -> None:
    assert Q35().place(slot) == words


def test_a_microvm_has_no_places() -> None:
    assert Microvm().place("mmio") == ""
