"""The block graph of real QEMUs."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from qemu_cli.errors import NotFoundError
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.storage import graph

MIB = 1 << 20


def image(path, *options):
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *options, path]
    if "-b" not in options:
        command.append(str(4 * MIB))
    subprocess.run(command, check=True)
    return path


def look(qemu, *commands):
    async def main():
        async with Sessions().open(qemu.monitors) as session:
            for command, arguments in commands:
                await session.execute(command, arguments)
            return await graph.read(session)

    return asyncio.run(main())


@pytest.fixture
def qemu(real_qemu, tmp_path):
    """Two disks on one base, an empty CD drive, and a -drive by hand."""
    base = image(tmp_path / "base.qcow2")
    args = ["-nodefaults", "-machine", "q35", "-m", "16", "-S"]
    for disk in ("disk0", "disk1"):
        top = image(tmp_path / f"{disk}.qcow2", "-b", base, "-F", "qcow2")
        args += [
            "-blockdev",
            f"driver=qcow2,node-name={disk},file.driver=file,"
            f"file.filename={top},file.node-name={disk}-file",
        ]
    args += ["-device", "virtio-blk-pci,drive=disk0,id=disk0"]
    args += ["-device", "virtio-scsi-pci,id=scsi0"]
    args += ["-device", "scsi-hd,drive=disk1,id=disk1"]
    args += ["-device", "scsi-cd,id=cd0"]
    hand = image(tmp_path / "hand.qcow2")
    args += ["-drive", f"file={hand},if=ide,format=qcow2"]
    return real_qemu(*args)


def files(found, id):
    chain = found.chain(found.device(id))
    return [Path(node.file).name for node in chain]


def test_each_device_has_its_chain(qemu):
    found = look(qemu)
    assert files(found, "disk0") == ["disk0.qcow2", "base.qcow2"]
    assert files(found, "disk1") == ["disk1.qcow2", "base.qcow2"]
    assert files(found, "cd0") == []
    below = [found.chain(found.device(disk))[1] for disk in ("disk0", "disk1")]
    assert below[0].name != below[1].name
    assert all(node.read_only for node in below)
    assert found.active(found.device("disk0")).virtual_size_bytes == 4 * MIB
    assert found.device("cd0").removable
    with pytest.raises(NotFoundError, match="no medium in 'cd0'"):
        found.active(found.device("cd0"))
    with pytest.raises(NotFoundError, match="no device 'disk2'"):
        found.device("disk2")


def test_a_drive_by_hand_has_a_node_without_a_name(qemu):
    found = look(qemu)
    (hand,) = (each for each in found.devices if "device[" in each.qdev)
    (node,) = found.chain(hand)
    assert node.name.startswith("#block")
    assert Path(node.file).name == "hand.qcow2"


def test_overlays_filters_and_bitmaps(qemu, tmp_path):
    overlay = tmp_path / "disk0.1.qcow2"
    scratch = image(tmp_path / "scratch.qcow2")
    found = look(
        qemu,
        (
            "blockdev-snapshot-sync",
            {
                "node-name": "disk0",
                "snapshot-file": str(overlay),
                "snapshot-node-name": "disk0.1",
                "format": "qcow2",
            },
        ),
        ("block-dirty-bitmap-add", {"node": "disk0.1", "name": "b0"}),
        (
            "blockdev-add",
            {
                "driver": "qcow2",
                "node-name": "fl",
                "file": {"driver": "file", "filename": str(scratch)},
            },
        ),
        (
            "blockdev-add",
            {
                "driver": "copy-before-write",
                "file": "disk0.1",
                "target": "fl",
                "node-name": "cbw",
            },
        ),
        (
            "qom-set",
            {
                "path": "/machine/peripheral/disk0",
                "property": "drive",
                "value": "cbw",
            },
        ),
    )
    device = found.device("disk0")
    assert device.node == "cbw"
    assert [node.name for node in found.filters(device)] == ["cbw"]
    assert files(found, "disk0") == [
        "disk0.1.qcow2",
        "disk0.qcow2",
        "base.qcow2",
    ]
    assert found.active(device).name == "disk0.1"
    assert found.active(device).bitmaps == ("b0",)
    assert [n.name for n in found.of_file(overlay)] == ["disk0.1"]
    assert len(found.of_file(tmp_path / "base.qcow2")) == 2
