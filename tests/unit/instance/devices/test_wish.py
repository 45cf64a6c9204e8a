"""DRIVER,KEY=VALUE as it is typed, and what a device is."""

import pytest

from qemu_cli.errors import UsageError
from qemu_cli.instance.devices.kinds import kind_of
from qemu_cli.instance.devices.wish import parse_device


def test_a_driver_and_its_properties() -> None:
    assert parse_device("x-y.z") == ("x-y.z", {}, None)
    assert parse_device("d,id=a,b=c=d,e=,f=1,,2") == (
        "d",
        {"b": "c=d", "e": "", "f": "1,2"},
        "a",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (",a=1", "'' is no name of a device"),
        ("a b", "'a b' is no name of a device"),
        ("d,", "'' is not of the form"),
        ("d,=1", "'=1' is not of the form"),
        ("d,addr=1", "addr: where a device is plugged in"),
        ("d,id=-", "'-' can't be an id"),
        (f"d,id={'a' * 32}", "can't be an id"),
    ],
)
def test_what_is_not_understood(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_device(text)


@pytest.mark.parametrize(
    ("driver", "kind"),
    [
        ("virtio-blk-pci", "disk"),
        ("scsi-cd", "cdrom"),
        ("virtio-net-pci-transitional", "nic"),
        ("e1000e", "nic"),
        ("pcie-root-port", "port"),
        ("qemu-xhci", "usb controller"),
        ("usb-tablet", "input"),
        ("virtio-keyboard-pci", "input"),
        ("max-x86_64-cpu", "cpu"),
        ("pc-dimm", "memory"),
        ("virtio-vga", "screen"),
        ("edu", "other"),
    ],
)
def test_what_a_device_is(driver: str, kind: str) -> None:
    assert kind_of(driver) == kind
