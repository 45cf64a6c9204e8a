"""The command line of fixed definitions, word for word.

A golden file has one option a line.  When the change is meant::

    UPDATE_GOLDEN=1 pytest tests/unit/instance/test_argv.py

and look at the difference.
"""

import os
import shlex
from pathlib import Path

import msgspec
import pytest

from qemu_cli.extensions import pick
from qemu_cli.instance import argv, definitions
from qemu_cli.paths import Paths

GOLDEN = Path(__file__).with_name("golden")

PCI = """
format = 1
uuid = "11111111-2222-4333-8444-555555555555"
created = "2026-01-01T00:00:00Z"
profile = "{profile}"
arch = "{arch}"

[machine]
type = "{machine}"
accel = "tcg"
cpu = "max"
cpus = 2
max_cpus = 8
memory_mib = 1024
max_memory_mib = 16384
memory_slots = 8
root_ports = 10
"""
EXTRAS = """
display = "vnc"
tpm = true
qemu_args = ["-d", "int"]
"""
SMALL = """
[machine]
type = "microvm"
accel = "{accel}"
cpu = "{cpu}"
cpus = 1
max_cpus = 1
memory_mib = 256

[boot]
kernel = "/srv/vmlinuz"
initrd = "initrd.gz"
append = "console=ttyS0 quiet"
"""
UEFI = """
[firmware]
kind = "uefi"
code = "{code}"
"""
DEVICES = """
[[disks]]
id = "disk0"
file = "disk0.qcow2"
format = "qcow2"
bus = "{bus}"
slot = "{slot}"

[[disks]]
id = "disk1"
file = "/srv/a, b.raw"
format = "raw"
bus = "scsi"
slot = "scsi0:0"
cache = "none"
read_only = true

[[nics]]
id = "net0"
slot = "{nic}"
mac = "52:54:00:01:02:03"

[[nics.forwards]]
host_port = 2222
guest_port = 22
"""
CD = """
[[cdroms]]
id = "cdrom0"
slot = "sata:0"
file = "/srv/debian.iso"
"""
SHARES = """
[[shares]]
id = "share1"
tag = "src"
directory = "/srv/a, b"
driver = "9p"
slot = "{slot}"
read_only = true

[[shares]]
id = "share2"
tag = "work"
directory = "/srv/work"
driver = "virtiofs"
slot = "{other}"
"""


def _pci(profile: str, arch: str, machine: str) -> str:
    return PCI.format(profile=profile, arch=arch, machine=machine)


def _microvm(accel: str) -> str:
    head = _pci("microvm", "x86_64", "").partition("[machine]")[0]
    return (
        head
        + SMALL.format(accel=accel, cpu="max" if accel == "tcg" else "host")
        + DEVICES.format(bus="virtio", slot="mmio", nic="mmio")
    )


_ON_PORTS = DEVICES.format(bus="virtio", slot="rp0", nic="rp1")

DEFINITIONS = {
    "q35-bios-x86_64": _pci("q35", "x86_64", "pc-q35-7.2") + _ON_PORTS + CD,
    "q35-uefi-x86_64": EXTRAS
    + _pci("q35", "x86_64", "pc-q35-7.2")
    + UEFI.format(code="/usr/share/OVMF/OVMF_CODE_4M.fd")
    + _ON_PORTS,
    "q35-shares-x86_64": _pci("q35", "x86_64", "pc-q35-7.2")
    + SHARES.format(slot="rp2", other="rp3")
    + """
[[dimms]]
id = "dimm1"
size_mib = 128
slot = 0
""",
    "microvm-shares-x86_64": _microvm("tcg")
    + SHARES.format(slot="mmio", other="mmio"),
    "microvm-bios-x86_64": _microvm("tcg"),
    "microvm-kvm-x86_64": _microvm("kvm"),
    "virt-bios-aarch64": _pci("virt", "aarch64", "virt-7.2") + _ON_PORTS,
    "virt-uefi-aarch64": _pci("virt", "aarch64", "virt-7.2")
    + UEFI.format(code="/usr/share/AAVMF/AAVMF_CODE.fd")
    + _ON_PORTS,
}


#: What ``command.sh`` runs: sockets beside the disks, no recorder.
BY_HAND = "q35-uefi-x86_64.by-hand"


@pytest.mark.parametrize("name", [*DEFINITIONS, BY_HAND])
def test_the_command_line_is_the_golden_one(name: str) -> None:
    source = DEFINITIONS[name.removesuffix(".by-hand")]
    definition = definitions.parse(source, source=name)
    home = Path("/h")
    paths = Paths(data=home, state=home, cache=home, config=home)
    words = argv.build(
        definition,
        pick("qemu_cli.profiles", definition.profile)(),
        paths.instance("vm"),
        binary=Path(f"/usr/bin/qemu-system-{definition.arch}"),
        by_hand=name == BY_HAND,
    )
    golden = GOLDEN / f"{name}.argv"
    text = lines(words)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def lines(words: tuple[str, ...]) -> str:
    """One option with its value a line."""
    text = ""
    for word in words:
        text += "\n" if word.startswith("-") and text else " " if text else ""
        text += shlex.quote(word)
    return text + "\n"


def test_every_golden_file_is_used() -> None:
    known = {f"{name}.argv" for name in (*DEFINITIONS, BY_HAND)}
    assert {path.name for path in GOLDEN.iterdir()} == known


def test_what_a_start_may_add() -> None:
    definition = definitions.parse(DEFINITIONS["q35-bios-x86_64"], source="")
    home = Path("/h")
    paths = Paths(data=home, state=home, cache=home, config=home)
    definition = msgspec.structs.replace(definition, qemu_args=("-own",))
    words = argv.build(
        definition,
        pick("qemu_cli.profiles", "q35")(),
        paths.instance("vm"),
        binary=Path("qemu"),
        paused=True,
        incoming=True,
        extra=("-plug-in",),
    )
    assert words[-5:] == ("-incoming", "defer", "-S", "-plug-in", "-own")
