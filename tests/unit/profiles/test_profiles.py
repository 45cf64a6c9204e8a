"""Profiles: where devices go, and what boards do not have."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemu_cli.errors import UsageError
from qemu_cli.extensions import names, pick
from qemu_cli.instance.model import Cdrom, Disk, Nic
from qemu_cli.profiles.base import Profile
from qemu_cli.profiles.microvm import Microvm
from qemu_cli.profiles.q35 import Q35
from qemu_cli.profiles.virt import Virt

PROFILES = (Q35, Microvm, Virt)
every_profile = pytest.mark.parametrize("profile", [p() for p in PROFILES])


def test_all_are_found_by_their_names() -> None:
    for kind in PROFILES:
        assert kind.name in names("qemu_cli.profiles")
        assert pick("qemu_cli.profiles", kind.name) is kind


@every_profile
@given(data=st.data())
def test_every_device_has_a_place_of_its_own(
    profile: Profile, data: st.DataObject
) -> None:
    kinds = [*profile.disk_buses, "nic"]
    buses = data.draw(st.lists(st.sampled_from(kinds), max_size=40))
    try:
        slots = profile.slots(buses)
    except UsageError:
        assert len(buses) > 4
        return
    assert len(slots) == len(buses)
    places = [slot for slot in slots if slot != "mmio"]
    assert len(set(places)) == len(places)
    ports = [int(s[2:]) for s in slots if s.startswith("rp")]
    assert max(ports, default=-1) < profile.root_ports(slots)
    # The same devices are at the same places when one more is added.
    for count in range(len(buses)):
        assert profile.slots(buses[:count]) == slots[:count]


@pytest.mark.parametrize(
    ("bus", "slots"),
    [
        ("virtio", ["rp0", "rp1"]),
        ("nvme", ["rp0", "rp1"]),
        ("nic", ["rp0", "rp1"]),
        ("scsi", ["scsi0:0", "scsi0:1"]),
        ("sata", ["sata:0", "sata:1"]),
        ("usb", ["usb:1", "usb:2"]),
    ],
)
def test_places_on_a_pc(bus: str, slots: list[str]) -> None:
    assert Q35().slots([bus, bus]) == slots


def test_disks_and_nics_share_the_root_ports() -> None:
    assert Q35().slots(["virtio", "nic", "scsi", "nvme"]) == [
        "rp0",
        "rp1",
        "scsi0:0",
        "rp2",
    ]


@pytest.mark.parametrize(
    ("profile", "bus", "most"),
    [
        (Q35(), "nic", 56),
        (Q35(), "sata", 6),
        (Q35(), "usb", 8),
        (Virt(), "virtio", 56),
        (Microvm(), "nic", 21),
    ],
)
def test_boards_have_room_for_so_many(
    profile: Profile, bus: str, most: int
) -> None:
    assert len(profile.slots([bus] * most)) == most
    with pytest.raises(UsageError):
        profile.slots([bus] * (most + 1))


@every_profile
def test_a_bus_that_the_board_does_not_have(profile: Profile) -> None:
    profile.check_bus(profile.disk_buses[0])
    with pytest.raises(UsageError, match="has no floppy bus") as caught:
        profile.check_bus("floppy")
    assert profile.disk_buses[0] in str(caught.value.hint)


def test_what_a_microvm_does_not_have() -> None:
    with pytest.raises(UsageError, match="no screen"):
        Microvm().display()
    with pytest.raises(UsageError, match="no TPM"):
        Microvm().tpm()
    with pytest.raises(UsageError, match="no sata bus"):
        Microvm().slots(["sata"])
    assert Microvm().root_ports(["mmio"]) == 0


def a_disk(profile: Profile, bus: str) -> Disk:
    (slot,) = profile.slots([bus])
    return Disk(id="d", file="d", format="raw", bus=bus, slot=slot)  # type: ignore[arg-type]


@every_profile
def test_front_ends_name_a_bus_where_the_place_is(profile: Profile) -> None:
    for bus in profile.disk_buses:
        front = profile.disk(a_disk(profile, bus))
        model, _, place = front.partition(",")
        assert re.fullmatch(r"[a-z-]+", model)
        assert place.startswith("bus=") or profile.name == "microvm"
    (slot,) = profile.slots(["nic"])
    nic = Nic(id="n", slot=slot, mac="52:54:00:00:00:00")
    assert profile.nic(nic).startswith("virtio-net-")
    (slot,) = profile.slots([str(profile.cdrom_bus)])
    assert "-cd,bus=" in profile.cdrom(Cdrom(id="c", slot=slot))


@every_profile
def test_the_defaults_fit_together(profile: Profile) -> None:
    assert profile.firmwares
    assert set(profile.firmwares) <= {"bios", "uefi"}
    assert profile.console in ("ttyS0", "ttyAMA0")
    assert (profile.spare_ports() > 0) == profile.hotplug
    assert len(set(itertools.chain(profile.disk_buses))) == len(
        profile.disk_buses
    )
