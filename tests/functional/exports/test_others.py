"""Exports of VMs that somebody else has set up, or is busy with."""

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from qemu_cli.testing.home import QemuHome
from tests.functional.exports.clients import read, run

if TYPE_CHECKING:
    from .conftest import Machine


def test_two_at_the_same_time(vm: "Machine") -> None:
    """Each waits for the other, and finds its own name free."""
    both = [
        subprocess.Popen(
            [vm.home.executable, "nbd-export", "vm", "--name", name, "disk0"],
            env=vm.home.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    uris = [each.communicate(timeout=60)[0].strip() for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert vm.holds(0, "7M 64k")
    vm.as_guest("write -P 5 7M 64k")
    assert all(read(uri, 0, "7M 64k") for uri in uris)
    vm.as_guest("write -P 0 7M 64k")
    assert len(vm.exports()) == 2


def test_a_drive_without_names(
    machine: Callable[..., "Machine"], home: QemuHome
) -> None:
    """``-drive``: neither the device nor its node were given a name."""
    image = home.directory / "by-hand.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", image, "8M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 6 0 8M", image)
    unused = home.directory / "unused.raw"
    unused.write_bytes(bytes(1 << 20))
    vm = machine(
        "hand",
        "--qemu-arg=-drive",
        f"--qemu-arg=file={image},if=virtio,format=qcow2",
        "--qemu-arg=-drive",
        f"--qemu-arg=file={unused},if=none,format=raw,id=unused",
    )
    uris = vm.export()
    assert [row["disk"] for row in vm.exports()] == ["virtio0", "disk0"]
    assert len(uris) == 2
    by_hand = uris[0]
    assert "/virtio0?" in by_hand
    vm.as_guest("write -P 7 0 8M", "device[0]")
    assert read(by_hand, 6, "0 8M")
    assert vm.stop().rc == 0
    assert vm.traces() == []
    refused = vm.home("nbd-export", "hand", "unused")
    assert refused.rc in (3, 4)
    vm.ok("quit", "hand")


@pytest.mark.parametrize(
    ("device", "disk", "other"),
    [
        ("virtio-blk-pci", "disk0", "disk1"),
        ("virtio-scsi-pci", "disk1", "disk0"),
    ],
)
def test_an_io_thread(
    machine: Callable[..., "Machine"], device: str, disk: str, other: str
) -> None:
    """QEMU 7.2 aborts when a client leaves such an export."""
    name = f"thread-{disk}"
    vm = machine(
        name,
        *("--disk", "8M,bus=scsi"),
        *("--qemu-arg=-object", "--qemu-arg=iothread,id=io0"),
        *("--qemu-arg=-global", f"--qemu-arg={device}.iothread=io0"),
    )
    version = vm.qmp("query-version")["qemu"]["major"]
    served = vm.home("nbd-export", name, disk)
    if version < 9:
        assert served.rc == 4, served.err
        assert f"{disk} of '{name}' has an I/O thread" in served.err
        assert vm.traces() == []
        assert vm.home("nbd-export", name).rc == 4  # that is among them
        assert vm.traces() == []
    else:
        assert served.rc == 0, served.err
        assert run("nbdcopy", served.out.strip(), "null:").returncode == 0
    # A disk without one can be served in any case.
    (uri,) = vm.export(other)
    assert run("nbdcopy", uri, "null:").returncode == 0
    # Limits are for any disk.
    vm.ok("disk", "throttle", name, disk, "--iops", "70")
    limits = {
        block["inserted"]["iops"]
        for block in vm.qmp("query-block")
        if disk in block["qdev"].split("/")
    }
    assert limits == {70}
    assert vm.status() == "running"
    vm.ok("quit", name)


def test_a_server_that_somebody_started(
    machine: Callable[..., "Machine"],
) -> None:
    vm = machine("served")
    address = {"type": "unix", "data": {"path": str(vm.paths.runtime / "x")}}
    vm.qmp("nbd-server-start", addr=address)
    refused = vm.home("nbd-export", "served")
    assert refused.rc == 4, refused.err
    assert "serves NBD already" in refused.err
    assert vm.traces() == []
    vm.ok("quit", "served")


def test_read_through_nbdkit(vm: "Machine") -> None:
    """libnbd as a library, in a server that passes it on."""
    (uri,) = vm.export("disk0")
    vm.as_guest("write -P 9 0 8M")
    copy = 'nbdinfo --size "$uri"; nbdcopy "$uri" - | md5sum'
    seen = run("nbdkit", "-r", "-U", "-", "nbd", f"uri={uri}", "--run", copy)
    assert seen.stdout.split()[0] == str(8 << 20), seen.stderr
    direct = run("sh", "-c", f"nbdcopy '{uri}' - | md5sum")
    assert seen.stdout.split()[1] == direct.stdout.split()[0]
    assert not read(uri, 9, "0 8M")


def test_an_export_made_by_hand(vm: "Machine") -> None:
    vm.export("disk0")
    vm.qmp(
        "block-export-add",
        type="nbd",
        id="mine",
        node_name="disk1",
        name="m",
    )
    mine = vm.exports()[-1]
    assert (mine["id"], mine["name"], mine["uri"]) == ("mine", None, None)
    assert vm.stop().rc == 0
    assert [row["id"] for row in vm.exports()] == ["mine"]
    vm.qmp("block-export-del", id="mine")


def test_an_export_that_somebody_removed(vm: "Machine") -> None:
    """What was made for it goes with the next command."""
    vm.export("disk0")
    vm.qmp("block-export-del", id="e1", mode="hard")
    assert vm.exports() == []
    assert vm.traces() != []
    vm.export("disk1")
    assert [row["name"] for row in vm.exports()] == ["disk1"]
    assert not [
        name for name in vm.traces() if name.startswith("e1-filt")
    ] or (vm.exports()[0]["id"] == "e1")
    assert vm.stop().rc == 0
    assert vm.traces() == []
