"""blueprint: from a wish and the host's facts to a plan."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.emulator.firmware import Firmware
from qemu_cli.errors import UsageError
from qemu_cli.instance import definitions, model
from qemu_cli.instance.blueprint import Facts, new_mac, plan
from qemu_cli.instance.model import Definition
from qemu_cli.instance.parts import Newborn, NewFile, Parts
from qemu_cli.instance.wish import DiskWish, ForwardWish, NicWish, Wish
from qemu_cli.paths import InstancePaths, Paths
from qemu_cli.profiles.microvm import Microvm
from qemu_cli.profiles.q35 import Q35
from qemu_cli.steps import MakeDirectory, Plan, Tool, WriteData, WriteFile
from qemu_cli.storage.images import ImageInfo

GIB = 1 << 30
BASE = Path("/images/base.qcow2")
INFO = ImageInfo(str(BASE), "qcow2", 10 * GIB, GIB)
FACTS = Facts(
    arch="x86_64",
    profile=Q35(),
    machine="pc-q35-7.2",
    accel="tcg",
    cpu="max",
    qemu_img="qemu-img",
    images=(),
    ports=(),
    memory_mib=1024,
    cpus=1,
    max_cpus=8,
)


@pytest.fixture
def web(paths: Paths) -> InstancePaths:
    return paths.instance("web")


def made(
    web: InstancePaths, facts: Facts = FACTS, **wishes: Any
) -> tuple[Definition, Plan]:
    return plan(web, Wish(name="web", **wishes), facts)


def commands(plan: Plan) -> list[str]:
    return [" ".join(s.argv) for s in plan.steps if isinstance(s, Tool)]


def one_disk(
    web: InstancePaths, disk: DiskWish, info: ImageInfo | None = INFO
) -> tuple[model.Disk, list[str]]:
    facts = replace(FACTS, images=(info if disk.source else None,))
    definition, plan = made(web, facts, disks=(disk,))
    (only,) = definition.disks
    return only, commands(plan)


def test_the_least(web: InstancePaths) -> None:
    definition, plan = made(web)
    first, last = plan.steps
    assert first == MakeDirectory(str(web.directory))
    assert isinstance(last, WriteFile)
    assert last.path == str(web.definition)
    assert definitions.parse(last.text, source="") == definition
    assert plan.title == "create web"
    assert plan.commit is None
    assert definition.machine.type == "pc-q35-7.2"
    assert definition.machine.root_ports == 9  # the NIC's and eight spare
    assert definition.machine.memory_slots == 8
    assert definition.machine.max_memory_mib == 16 * 1024
    (nic,) = definition.nics
    assert (nic.backend, nic.slot) == ("user", "rp0")


def test_the_definition_is_written_last(web: InstancePaths) -> None:
    firmware = Firmware(
        Path("/code"), "raw", Path("/vars"), "raw", frozenset()
    )
    facts = replace(FACTS, images=(None,), firmware=firmware)
    definition, plan = made(
        web, facts, disks=(DiskWish(size_bytes=GIB),), tpm=True
    )
    assert [type(step).__name__ for step in plan.steps] == [
        "MakeDirectory",
        "Tool",
        "MakeDirectory",
        "Tool",
        "WriteFile",
    ]
    assert commands(plan)[1].split()[-2:] == ["/vars", str(web.nvram)]
    assert definition.firmware.kind == "uefi"
    assert definition.firmware.code == "/code"
    assert definition.tpm


def test_each_tool_says_what_it_creates(web: InstancePaths) -> None:
    facts = replace(FACTS, images=(None, INFO))
    disks = (DiskWish(size_bytes=GIB), DiskWish(source=BASE))
    _, plan = made(web, facts, disks=disks)
    tools = [step for step in plan.steps if isinstance(step, Tool)]
    assert [tool.creates for tool in tools] == [
        str(web.directory / "disk0.qcow2"),
        str(web.directory / "disk1.qcow2"),
    ]


def test_a_new_disk(web: InstancePaths) -> None:
    disk, ran = one_disk(web, DiskWish(size_bytes=GIB))
    target = web.directory / "disk0.qcow2"
    assert ran == [f"qemu-img create -q -f qcow2 {target} {GIB}"]
    assert (disk.file, disk.format, disk.bus, disk.slot) == (
        "disk0.qcow2",
        "qcow2",
        "virtio",
        "rp0",
    )
    disk, ran = one_disk(web, DiskWish(size_bytes=GIB, format="raw"))
    assert (disk.file, disk.format) == ("disk0.raw", "raw")


def test_an_overlay_leaves_the_image_alone(web: InstancePaths) -> None:
    disk, ran = one_disk(web, DiskWish(source=BASE))
    target = web.directory / "disk0.qcow2"
    assert ran == [f"qemu-img create -q -f qcow2 -b {BASE} -F qcow2 {target}"]
    assert disk.format == "qcow2"
    raw = replace_info(format="raw")
    disk, ran = one_disk(web, DiskWish(source=BASE), raw)
    assert "-F raw" in ran[0]
    assert disk.format == "qcow2"


def replace_info(**changes: Any) -> ImageInfo:
    fields = {name: getattr(INFO, name) for name in INFO.__struct_fields__}
    return ImageInfo(**{**fields, **changes})


def test_an_overlay_on_a_format_that_no_disk_can_have(
    web: InstancePaths,
) -> None:
    disk, ran = one_disk(
        web, DiskWish(source=BASE), replace_info(format="parallels")
    )
    assert "-F parallels" in ran[0]
    assert disk.format == "qcow2"
    for mode in ("copy", "in-place"):
        with pytest.raises(UsageError, match="format parallels"):
            one_disk(
                web,
                DiskWish(source=BASE, mode=mode),  # type: ignore[arg-type]
                replace_info(format="parallels"),
            )


def test_a_copy(web: InstancePaths) -> None:
    wish = DiskWish(source=BASE, mode="copy")
    target = web.directory / "disk0.qcow2"
    disk, ran = one_disk(web, wish)
    assert ran == [f"cp --reflink=auto --sparse=auto -- {BASE} {target}"]
    assert disk.file == "disk0.qcow2"
    # A copy of the file alone would miss what is below it.
    _, ran = one_disk(web, wish, replace_info(backing_file="/below"))
    assert ran == [f"qemu-img convert -f qcow2 -O qcow2 {BASE} {target}"]
    _, ran = one_disk(web, wish, replace_info(data_file="/data"))
    assert ran[0].startswith("qemu-img convert")


def test_in_place_makes_nothing(web: InstancePaths) -> None:
    disk, ran = one_disk(web, DiskWish(source=BASE, mode="in-place"))
    assert ran == []
    assert (disk.file, disk.format) == (str(BASE), "qcow2")


def test_relative_names_become_absolute(
    web: InstancePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    disk, _ = one_disk(web, DiskWish(source=Path("b"), mode="in-place"))
    assert disk.file == str(tmp_path / "b")
    definition, _ = made(
        web, kernel=Path("k"), initrd=Path("i"), cdroms=(Path("c"),)
    )
    assert definition.boot is not None
    assert definition.boot.kernel == str(tmp_path / "k")
    assert definition.boot.initrd == str(tmp_path / "i")
    assert definition.cdroms[0].file == str(tmp_path / "c")


def test_a_disk_that_is_to_be_larger(web: InstancePaths) -> None:
    size = 20 * GIB
    _, ran = one_disk(web, DiskWish(source=BASE, size_bytes=size))
    assert ran[0].endswith(f"disk0.qcow2 {size}")
    _, ran = one_disk(web, DiskWish(source=BASE, size_bytes=size, mode="copy"))
    target = web.directory / "disk0.qcow2"
    assert ran[1] == f"qemu-img resize -q -f qcow2 {target} {size}"


@pytest.mark.parametrize("mode", ["overlay", "copy"])
def test_no_disk_is_cut_off(web: InstancePaths, mode: Any) -> None:
    with pytest.raises(UsageError, match="cut off"):
        one_disk(web, DiskWish(source=BASE, size_bytes=GIB, mode=mode))


def test_in_place_keeps_its_size(web: InstancePaths) -> None:
    with pytest.raises(UsageError, match="keeps its size"):
        one_disk(
            web, DiskWish(source=BASE, size_bytes=20 * GIB, mode="in-place")
        )


def test_places_of_disks_drives_and_nics(web: InstancePaths) -> None:
    facts = replace(FACTS, images=(None, None, None))
    definition, _ = made(
        web,
        facts,
        disks=(
            DiskWish(size_bytes=GIB),
            DiskWish(size_bytes=GIB, bus="sata"),
            DiskWish(size_bytes=GIB, bus="scsi"),
        ),
        cdroms=(Path("/a"), Path("/b")),
        nics=(NicWish(), NicWish("br0")),
    )
    assert [d.slot for d in definition.disks] == ["rp0", "sata:0", "scsi0:0"]
    assert [c.slot for c in definition.cdroms] == ["sata:1", "sata:2"]
    assert [n.slot for n in definition.nics] == ["rp1", "rp2"]
    assert [n.bridge for n in definition.nics] == [None, "br0"]
    assert definition.machine.root_ports == 11


def test_forwards_go_to_the_first_user_nic(web: InstancePaths) -> None:
    facts = replace(FACTS, ports=(2222, 5353))
    definition, _ = made(
        web,
        facts,
        nics=(NicWish("br0"), NicWish(), NicWish()),
        forwards=(ForwardWish(22), ForwardWish(53, protocol="udp")),
    )
    assert [len(nic.forwards) for nic in definition.nics] == [0, 2, 0]
    assert [(f.host_port, f.guest_port, f.protocol)
            for f in definition.forwards] == [
        (2222, 22, "tcp"),
        (5353, 53, "udp"),
    ]  # fmt: skip


@pytest.mark.parametrize("nics", [(), (NicWish("br0"),)])
def test_forwards_need_a_user_nic(
    web: InstancePaths, nics: tuple[NicWish, ...]
) -> None:
    facts = replace(FACTS, ports=(2222,))
    with pytest.raises(UsageError, match="needs a user NIC"):
        made(web, facts, nics=nics, forwards=(ForwardWish(22),))


def test_the_same_host_port_twice(web: InstancePaths) -> None:
    facts = replace(FACTS, ports=(2222, 2222))
    forwards = (ForwardWish(22, 2222), ForwardWish(23, 2222))
    with pytest.raises(UsageError, match="2222/tcp is forwarded twice"):
        made(web, facts, forwards=forwards)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"display": "vnc"}, "no screen"),
        ({"tpm": True}, "no TPM"),
        ({"disks": (DiskWish(size_bytes=1, bus="sata"),)}, "no sata bus"),
        ({"nics": (NicWish(),) * 22}, "no room"),
    ],
)
def test_what_the_board_lacks_is_said_now_not_at_the_first_start(
    web: InstancePaths, wish: dict[str, Any], message: str
) -> None:
    images = (None,) * len(wish.get("disks", ()))
    facts = replace(FACTS, profile=Microvm(), images=images)
    with pytest.raises(UsageError, match=message):
        made(web, facts, **wish)


def test_a_board_without_hot_plug_has_no_room_for_it(
    web: InstancePaths,
) -> None:
    facts = replace(FACTS, profile=Microvm(), max_cpus=1)
    definition, _ = made(web, facts)
    machine = definition.machine
    assert (machine.memory_slots, machine.max_memory_mib) == (0, 0)
    assert machine.root_ports == 0


def test_room_for_memory_grows_with_it(web: InstancePaths) -> None:
    definition, _ = made(web, replace(FACTS, memory_mib=8192))
    assert definition.machine.max_memory_mib == 4 * 8192


def test_macs_are_in_qemus_range_and_differ() -> None:
    macs = {new_mac() for _ in range(100)}
    assert len(macs) == 100
    for mac in macs:
        assert re.fullmatch(r"52:54:00(:[0-9a-f]{2}){3}", mac)


def test_two_of_the_same_wish_are_two_machines(web: InstancePaths) -> None:
    one, other = made(web)[0], made(web)[0]
    assert one.uuid != other.uuid
    assert one.nics[0].mac != other.nics[0].mac


def test_what_plug_ins_give(web: InstancePaths) -> None:
    told: list[Newborn] = []

    def seed(vm: Newborn) -> Parts:
        told.append(vm)
        file = NewFile("seed.iso", b"\0", "a seed")
        return Parts(
            "guest", files=(file,), cdroms=("seed.iso",), table={"a": 1}
        )

    def tag(vm: Newborn) -> Parts:
        return Parts("guest", table={"b": 2})

    def nothing(vm: Newborn) -> Parts:
        return Parts("other")

    definition, plan = made(
        web,
        extras=(seed, tag, nothing),
        cdroms=(Path("/isos/mine.iso"),),
        nics=(NicWish(),),
    )
    assert told == [
        Newborn("web", web.directory, definition.uuid, "x86_64", "pc-q35-7.2")
    ]
    assert definition.plugin == {"guest": {"a": 1, "b": 2}}
    assert [each.file for each in definition.cdroms] == [
        *("/isos/mine.iso", "seed.iso"),
    ]
    slots = [each.slot for each in definition.cdroms]
    assert slots == ["sata:0", "scsi0:0"]
    file = str(web.directory / "seed.iso")
    assert WriteData(file, b"\0", "a seed") in plan.steps
    assert isinstance(plan.steps[0], MakeDirectory)
