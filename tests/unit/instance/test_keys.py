"""KEY=VALUE, without files."""

import pytest

from qemu_cli.errors import UsageError
from qemu_cli.instance import definitions, keys
from qemu_cli.instance.model import Definition

TEXT = """\
# Mine.
format = 1
uuid = "11111111-2222-4333-8444-555555555555"
created = "2026-01-01T00:00:00Z"
profile = "q35"
arch = "x86_64"

[machine]
type = "pc-q35-7.2"
accel = "kvm"
cpu = "host"
cpus = 1
max_cpus = 8
memory_mib = 1024  # enough
max_memory_mib = 16384
memory_slots = 8

[[disks]]
id = "disk0"
file = "disk0.qcow2"
format = "qcow2"
bus = "virtio"
slot = "rp0"

[[cdroms]]
id = "cdrom0"
slot = "sata:0"
file = "/srv/a.iso"

[[nics]]
id = "net0"
slot = "rp1"
mac = "52:54:00:01:02:03"

[[nics.forwards]]
host_port = 2222
guest_port = 22  # ssh
"""


def changed(*texts: str) -> tuple[str, Definition]:
    text = keys.apply(
        TEXT,
        [keys.parse_assignment(each) for each in texts],
        source="it",
        choose_port=lambda wish: 40000 + wish.guest_port,
    )
    return text, definitions.parse(text, source="it")


def test_nothing_is_rewritten_that_was_not_named() -> None:
    text, _ = changed("cpus=2")
    assert text == TEXT.replace("cpus = 1\n", "cpus = 2\n", 1)
    text, _ = changed("memory=2G")
    assert text == TEXT.replace("1024", "2048")


@pytest.mark.parametrize(
    ("texts", "differences"),
    [
        (("memory=2048",), {"machine.memory_mib": (1024, 2048)}),
        (
            ("memory=32G",),
            {
                "machine.memory_mib": (1024, 32768),
                "machine.max_memory_mib": (16384, 131072),
            },
        ),
        (
            ("cpus=9",),
            {"machine.cpus": (1, 9), "machine.max_cpus": (8, 9)},
        ),
        (
            ("accel=tcg",),
            {"machine.accel": ("kvm", "tcg"), "machine.cpu": ("host", "max")},
        ),
        (
            ("accel=tcg", "cpu=qemu64"),
            {
                "machine.accel": ("kvm", "tcg"),
                "machine.cpu": ("host", "qemu64"),
            },
        ),
        (("display=vnc",), {"display": (None, "vnc")}),
        (("tpm=true",), {"tpm": (None, True)}),
        (("cdrom=",), {"cdroms.cdrom0.file": ("/srv/a.iso", None)}),
        (("cdrom=/b.iso",), {"cdroms.cdrom0.file": ("/srv/a.iso", "/b.iso")}),
        (
            ("disks.disk0.read_only=true",),
            {"disks.disk0.read_only": (None, True)},
        ),
        (("disks.disk0.cache=",), {}),
        (("append=",), {}),
        (
            ("kernel=/k", "append=a=b c"),
            {
                "boot.kernel": (None, "/k"),
                "boot.append": (None, "a=b c"),
            },
        ),
        (
            ("qemu-arg+=-d", "qemu-arg+=int"),
            {"qemu_args": (None, ["-d", "int"])},
        ),
        (("qemu-arg+=-d", "qemu-arg-=-d"), {}),
        (("plugin.x.n=3",), {"plugin.x.n": (None, 3)}),
        (("plugin.x.y.z=[1, 2]",), {"plugin.x.y.z": (None, [1, 2])}),
        (("plugin.x.n=a word",), {"plugin.x.n": (None, "a word")}),
        (
            ("config.shutdown.timeout=3",),
            {"config.shutdown.timeout": (None, "3")},
        ),
    ],
)
def test_what_comes_of_it(
    texts: tuple[str, ...], differences: dict[str, tuple[object, object]]
) -> None:
    before = definitions.parse(TEXT, source="it")
    _, after = changed(*texts)
    assert keys.differences(before, after) == differences


def forwards(*texts: str) -> list[tuple[int, int, str]]:
    _, after = changed(*texts)
    return [(f.host_port, f.guest_port, f.protocol) for f in after.forwards]


def test_forwards() -> None:
    ssh = (2222, 22, "tcp")
    assert forwards("forward+=80") == [ssh, (40080, 80, "tcp")]
    assert forwards("forward+=5353:53/udp") == [ssh, (5353, 53, "udp")]
    assert forwards("forward=8080:80") == [(8080, 80, "tcp")]
    assert forwards("forward=") == []
    assert forwards("forward-=22") == forwards("forward-=2222:22") == []
    for wrong in ("forward-=23", "forward-=2223:22", "forward-=22/udp"):
        with pytest.raises(UsageError, match="no such forward"):
            changed(wrong)
    text, _ = changed("forward+=80")
    assert "guest_port = 22  # ssh" in text


@pytest.mark.parametrize(
    "text", ["", "=", "=1", "memory", "a b=1", "memory+=1", ".=1"]
)
def test_what_is_no_assignment(text: str) -> None:
    with pytest.raises(UsageError):
        keys.parse_assignment(text)


@pytest.mark.parametrize(
    "text",
    [
        *("memory=1.0001M", "memory=0", "cpus=", "machine.cpus=x"),
        *("machine.nosuch=1", "nosuch.key=1", "firmware.kind=uefi"),
        *("disks.disk0=1", "disks.nosuch.cache=none", "uuid=1", "tpm=perhaps"),
        *("machine.cpus.more=1", "nics.net0.mac=1", "qemu-arg-=-x"),
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        changed(text)
