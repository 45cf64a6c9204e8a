"""create: disks and CDs, new ones and from images."""

import os
import subprocess
from pathlib import Path

from qemu_cli.testing.home import QemuHome
from tests.functional.create.making import image, make, refused, start


def test_an_overlay_is_the_default(qemu_home: QemuHome, files: Path) -> None:
    before = (files / "base.qcow2").read_bytes()
    definition = make(qemu_home, "vm", "--image", files / "base.qcow2")
    (disk,) = definition.disks
    assert (disk.file, disk.format) == ("disk0.qcow2", "qcow2")
    made = image(qemu_home.paths.instance("vm").directory / disk.file)
    assert made["full-backing-filename"] == str(files / "base.qcow2")
    assert made["backing-filename-format"] == "qcow2"
    assert made["virtual-size"] == 8 << 20
    start(qemu_home, "vm")
    assert (files / "base.qcow2").read_bytes() == before


def test_copy(qemu_home: QemuHome, files: Path) -> None:
    definition = make(
        *(qemu_home, "vm", "--image", files / "base.raw", "--copy"),
        *("--disk", f"{files}/base.qcow2,size=16M"),
    )
    assert [disk.file for disk in definition.disks] == [
        "disk0.raw",
        "disk1.qcow2",
    ]
    directory = qemu_home.paths.instance("vm").directory
    for number, size in ((0, 4 << 20), (1, 16 << 20)):
        made = image(directory / definition.disks[number].file)
        assert made["virtual-size"] == size
        assert "backing-filename" not in made
    (files / "base.raw").unlink()
    start(qemu_home, "vm")


def test_in_place_and_what_depends_on_it(
    qemu_home: QemuHome, files: Path
) -> None:
    base = files / "base.qcow2"
    (disk,) = make(qemu_home, "one", "--image", base, "--in-place").disks
    assert disk.file == str(base)
    other = refused(qemu_home, "--image", base, "--in-place", rc=4)
    assert "one" in other.err
    # Nothing is built on what a guest writes to, either.
    assert "'one'" in refused(qemu_home, "--image", base, rc=4).err
    assert qemu_home("delete", "one", "--yes").rc == 0
    assert base.exists()

    make(qemu_home, "two", "--image", base)
    kept = refused(qemu_home, "--image", base, "--in-place", rc=4)
    assert "two" in kept.err


def test_a_disk_of_another_vm_is_not_built_on(
    qemu_home: QemuHome, files: Path
) -> None:
    make(qemu_home, "one", "--disk", "1M")
    disk = qemu_home.paths.instance("one").directory / "disk0.qcow2"
    result = refused(qemu_home, "--image", disk, rc=4)
    assert "qemu clone one" in result.err


def test_new_disks_on_every_bus_with_every_property(
    qemu_home: QemuHome,
) -> None:
    definition = make(
        qemu_home,
        "vm",
        *("--disk", "1M", "--disk", "1M,bus=scsi,cache=none,format=raw"),
        *("--disk", "1M,bus=sata,cache=unsafe", "--disk", "1M,bus=nvme"),
        *("--disk", "1M,bus=usb,readonly=on", "--display", "vnc"),
    )
    assert [(d.bus, d.format, d.cache, d.read_only)
            for d in definition.disks] == [
        ("virtio", "qcow2", "writeback", False),
        ("scsi", "raw", "none", False),
        ("sata", "qcow2", "unsafe", False),
        ("nvme", "qcow2", "writeback", False),
        ("usb", "qcow2", "writeback", True),
    ]  # fmt: skip
    argv = " ".join(start(qemu_home, "vm"))
    for device in ("virtio-blk-pci", "scsi-hd", "ide-hd", "nvme,", "usb-stor"):
        assert f" {device}" in argv


def test_cdroms(qemu_home: QemuHome, files: Path) -> None:
    definition = make(
        qemu_home,
        "vm",
        *("--cdrom", files / "base.raw", "--cdrom", files / "base.raw"),
    )
    assert [cdrom.slot for cdrom in definition.cdroms] == ["sata:0", "sata:1"]
    argv = start(qemu_home, "vm")
    assert sum(word.startswith("ide-cd,") for word in argv) == 2


def test_an_encrypted_image(qemu_home: QemuHome, files: Path) -> None:
    # LUKS would spend seconds on its key.
    encrypted = files / "encrypted.qcow2"
    subprocess.run(
        [
            *("qemu-img", "create", "-q", "-f", "qcow2"),
            *("--object", "secret,id=key,data=geheim"),
            *("-o", "encrypt.format=aes,encrypt.key-secret=key"),
            *(str(encrypted), "1M"),
        ],
        check=True,
    )
    assert "encrypted" in refused(qemu_home, "--image", encrypted).err


def test_a_file_name_that_is_no_text(qemu_home: QemuHome, files: Path) -> None:
    kernel = files / os.fsdecode(b"kernel\xff")
    kernel.write_text("")
    assert "not UTF-8" in refused(qemu_home, "--kernel", kernel).err
