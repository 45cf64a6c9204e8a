"""The USB devices of a host, as sysfs shows them."""

from pathlib import Path

import pytest

from qemu_cli.errors import NotFoundError, StateError, UsageError
from qemu_cli.instance.devices import host_usb

KEYBOARD = {
    "idVendor": "046d",
    "idProduct": "c31c",
    "busnum": "1",
    "devnum": "4",
    "product": "USB Keyboard",
}
HUB = {"idVendor": "1d6b", "idProduct": "0002", "busnum": "1", "devnum": "1"}


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    root = tmp_path / "sys"
    for name, keys in (("usb1", HUB), ("1-1", KEYBOARD), ("1-1:1.0", {})):
        (root / name).mkdir(parents=True)
        for key, value in keys.items():
            (root / name / key).write_text(f"{value}\n")
    return root


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    node = tmp_path / "dev" / "001" / "004"
    node.parent.mkdir(parents=True)
    node.write_text("")
    return tmp_path / "dev"


def test_all_devices_are_listed(sysfs: Path) -> None:
    shown = [str(each) for each in host_usb.devices(sysfs)]
    assert shown == ["1d6b:0002 (1.1)", "046d:c31c USB Keyboard (1.4)"]
    assert host_usb.devices(sysfs / "nosuch") == []


@pytest.mark.parametrize("word", ["046d:C31C", "1.4", "001.004"])
def test_one_that_is_there_and_ours(
    word: str, sysfs: Path, nodes: Path
) -> None:
    host_usb.check(host_usb.parse_host(word), sysfs, nodes)


def test_it_is_remembered_by_what_stays(sysfs: Path, nodes: Path) -> None:
    by_id = host_usb.parse_host("046D:c31c")
    found = host_usb.check(by_id, sysfs, nodes)
    wanted = {"vendorid": "0x046d", "productid": "0xc31c"}
    assert by_id.options(found) == by_id.options(None) == wanted
    by_place = host_usb.parse_host("001.004")
    assert by_place.options(found) == {"hostbus": "1", "hostport": "1"}


def test_a_hub_of_the_host_stays_there(sysfs: Path, nodes: Path) -> None:
    with pytest.raises(UsageError, match="is a hub of this host"):
        host_usb.check(host_usb.parse_host("1.1"), sysfs, nodes)


@pytest.mark.parametrize("word", ["", "46d:c31c", "1", "1.x", "046d:c31c:1"])
def test_what_names_no_device(word: str) -> None:
    with pytest.raises(UsageError, match="names no USB device"):
        host_usb.parse_host(word)


def test_one_that_is_not_there(sysfs: Path, nodes: Path) -> None:
    wish = host_usb.parse_host("1.9")
    with pytest.raises(NotFoundError, match=r"no USB device 1\.9") as caught:
        host_usb.check(wish, sysfs, nodes)
    assert "046d:c31c USB Keyboard (1.4)" in (caught.value.hint or "")
    with pytest.raises(NotFoundError) as caught:
        host_usb.check(wish, sysfs / "nosuch", nodes)
    assert caught.value.hint == "it has none at all"


def test_two_of_a_kind(sysfs: Path, nodes: Path) -> None:
    second = sysfs / "1-2"
    second.mkdir()
    for key, value in {**KEYBOARD, "devnum": "7"}.items():
        (second / key).write_text(value)
    with pytest.raises(UsageError, match="2 USB devices") as caught:
        host_usb.check(host_usb.parse_host("046d:c31c"), sysfs, nodes)
    assert caught.value.hint == "say which: host:1.4 or host:1.7"


def test_one_that_is_not_ours(
    sysfs: Path, nodes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_usb.os, "access", lambda *args: False)
    with pytest.raises(StateError, match="is not yours to use") as caught:
        host_usb.check(host_usb.parse_host("1.4"), sysfs, nodes)
    assert 'ATTR{idVendor}=="046d"' in (caught.value.hint or "")
