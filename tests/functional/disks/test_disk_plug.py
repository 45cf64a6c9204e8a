"""qemu disk add and remove: plugged in at once where that can be."""

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.disks.conftest import DiskVM

    Make = Callable[..., DiskVM]
    Image = Callable[..., Path]
    Tool = Callable[..., str]


def test_a_disk_is_plugged_in_and_there_at_the_next_start(
    machine: "Make",
) -> None:
    vm = machine("--disk", "8M", "--disk", "8M,bus=scsi", start=True)
    text = vm.paths.definition.read_text()
    vm.paths.definition.write_text(f"# mine\n{text}")
    vm.ok("disk add", "4M")
    vm.ok("disk add", "4M,bus=scsi,format=raw,cache=none")
    assert vm.paths.definition.read_text().startswith("# mine\n")
    assert {"disk2", "disk3"} <= set(vm.devices())
    vm.write(2, "0 1M", "disk2")
    vm.write(3, "0 1M", "disk3")
    slots = [disk["slot"] for disk in vm.definition["disks"]]
    assert slots == ["rp0", "scsi0:0", "rp1", "scsi0:1"]
    vm.ok("quit")
    vm.ok("start")
    assert vm.holds(2, "0 1M", "disk2") and vm.holds(3, "0 1M", "disk3")
    assert vm.layers("disk3")[0]["format"] == "raw"


def test_an_image_is_overlaid_copied_or_used_in_place(
    machine: "Make", base: Path, image: "Image", tool: "Tool"
) -> None:
    tool("qemu-io", "-c", "write -P 9 0 1M", base)
    vm = machine("--disk", "8M", start=True)
    for id, how in (("disk1", ()), ("disk2", ("--copy",))):
        vm.ok("disk add", base, *how)
        assert vm.holds(9, "0 1M", id)
        vm.write(1, "0 1M", id)
    assert [len(vm.layers(id)) for id in ("disk1", "disk2")] == [2, 1]
    assert "is in use by m0" in vm.refused(4, "disk add", base, "--in-place")
    mine = image(base.with_name("mine.qcow2"))
    vm.ok("disk add", mine, "--in-place")
    assert vm.disk("disk3")["file"] == str(mine)
    assert "is a disk of 'm0'" in vm.refused(4, "disk add", mine)
    assert "no image file" in vm.refused(3, "disk add", "./none.qcow2")


def test_a_dry_run_changes_nothing(machine: "Make") -> None:
    vm = machine("--disk", "8M", "--disk", "8M,bus=scsi", start=True)
    before = vm.state()
    for words, part in (
        (("disk add", "4M"), "device_add"),
        (("disk remove", "disk1", "--delete-file"), "device_del"),
        (("disk resize", "disk0", "9M"), "block_resize"),
        (("disk throttle", "disk0", "--iops", "9"), "block_set_io_throttle"),
        (("disk move", "disk0", vm.directory / "x.qcow2"), "blockdev-mirror"),
    ):
        assert part in vm.ok(*words, "--dry-run").out
        assert vm.state() == before


def test_what_is_occupied_is_not_used_again(machine: "Make") -> None:
    """QEMU 7.2 takes a second device for a port, and hides it."""
    vm = machine("--disk", "8M", start=True)
    for name, where in (("d1", {"bus": "rp1"}), ("d2", {"bus": "rp2"})):
        vm.qmp("device_add", driver="virtio-rng-pci", id=name, **where)
    vm.ok("disk add", "4M")
    assert vm.disk("disk1")["slot"] == "rp3"
    # And what the definition alone has is taken, too.
    vm.ok("disk add", "4M", "--next-start")
    vm.ok("disk add", "4M")
    assert [vm.disk(f"disk{n}")["slot"] for n in (2, 3)] == ["rp4", "rp5"]
    waiting = vm.layers("disk2")[0]
    assert waiting["problem"] == "not plugged in before the next start"
    assert "disk2" not in vm.devices() and "disk3" in vm.devices()


def test_when_there_is_no_port_left(machine: "Make") -> None:
    vm = machine("--disk", "8M", start=True)
    for _ in range(8):
        vm.ok("disk add", "1M")
    assert "no root port left" in vm.refused(4, "disk add", "1M")
    vm.ok("disk add", "1M", "--next-start")
    vm.ok("quit")
    vm.ok("start")
    assert vm.definition["machine"]["root_ports"] == 18
    vm.ok("disk add", "1M")
    assert {"disk9", "disk10"} <= set(vm.devices())


def test_what_a_machine_can_not_take(machine: "Make") -> None:
    vm = machine("--disk", "8M", start=True)
    assert "SATA disks" in vm.refused(4, "disk add", "1M,bus=sata")
    for bus in ("scsi", "usb"):
        said = vm.refused(4, "disk add", f"1M,bus={bus}")
        assert f"started without a {bus} controller" in said
        assert "--next-start" in said
    vm.ok("disk add", "1M,bus=sata", "--next-start")
    vm.ok("disk resize", "disk1", "2M")  # nobody has it open yet
    vm.ok("quit")
    vm.ok("start")
    assert "SATA disks" in vm.refused(4, "disk remove", "disk1")
    micro = machine(
        *("--profile", "microvm", "--disk", "1M"),
        *("--kernel", "/proc/version"),
    )
    micro.ok("disk add", "1M")
    micro.ok("disk remove", "disk0")
    assert micro.disk("disk1")["slot"] == "mmio"


def test_two_at_the_same_time_get_two_places(machine: "Make") -> None:
    vm = machine("--disk", "8M", start=True)
    both = [
        subprocess.Popen(
            [vm.home.executable, "disk", "add", vm.name, "1M"],
            env=vm.home.environment,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for each in both:
        _, err = each.communicate(timeout=60)
        assert each.returncode == 0, err
    assert [vm.disk(f"disk{n}")["slot"] for n in (1, 2)] == ["rp1", "rp2"]


def test_an_image_that_another_process_has(
    machine: "Make", base: Path
) -> None:
    vm = machine("--disk", "8M", start=True)
    argv = ["qemu-io", "-f", "qcow2", base]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout and other.stdin
        other.stdout.read(1)  # its prompt: it has the image open
        said = vm.refused(6, "disk add", base, "--in-place")
        assert f"qemu-io (pid {other.pid})" in said
        other.stdin.close()


def test_a_disk_is_unplugged(machine: "Make") -> None:
    vm = machine("--disk", "8M", "--disk", "8M,bus=scsi", start=True)
    file = vm.image("disk1")
    vm.ok("disk remove", "disk1")
    assert "disk1" not in vm.devices() and "disk1" not in vm.nodes()
    assert file.exists()
    delete = ("--delete-file", "--next-start", "--yes")
    said = vm.refused(4, "disk remove", "disk0", *delete)
    assert "writes to disk0 until it is shut down" in said
    vm.ok("disk remove", "disk0", "--next-start")
    assert "disks" not in vm.definition and "disk0" in vm.devices()
    vm.ok("quit")
    assert vm.ok("disk list", "-f", "json").json == []


def test_a_guest_that_does_not_let_go(machine: "Make") -> None:
    """Nothing runs in it that could."""
    vm = machine("--disk", "8M", start=True)
    vm.ok("disk add", "4M")
    assert "has not let go of disk1 in 1 s" in vm.refused(
        7, "disk remove", "disk1", "--timeout", "1s"
    )
    vm.ok("pause")
    assert "is paused" in vm.refused(4, "disk remove", "disk1")
    vm.ok("resume")
    vm.ok("reset")
    end = time.monotonic() + 60
    while "disk1" in vm.devices():
        assert time.monotonic() < end
        time.sleep(0.1)
    done = vm.ok(
        "disk remove", "disk1", "--delete-file", "--yes", "-f", "json"
    )
    assert done.json["deleted"] == [str(vm.directory / "disk1.qcow2")]
    assert "disk1" not in vm.nodes()
    assert not (vm.directory / "disk1.qcow2").exists()


def test_files_that_are_needed_stay(machine: "Make", base: Path) -> None:
    vm = machine("--image", base, "--disk", "8M")
    delete = ("--delete-file", "--yes")
    other = machine()
    other.ok("disk add", vm.image("disk1"), "--trust-image", "--copy")
    vm.home("clone", vm.name, "clone")
    below = vm.layers("disk1")[-1]["file"]
    vm.ok("disk remove", "disk1", *delete)
    assert Path(below).exists()
    vm.home("delete", "clone", "--yes")
    vm.ok("snapshot create", "s1")
    said = vm.refused(4, "disk remove", "disk0", *delete)
    assert "needed by the snapshots 's1'" in said
    vm.ok("snapshot delete", "s1", "--yes")
    vm.ok("disk remove", "disk0", *delete)
    assert base.exists()
    vm.ok("disk add", base, "--in-place")
    (id,) = (disk["id"] for disk in vm.definition["disks"])
    said = vm.refused(4, "disk remove", id, *delete)
    assert "outside of the VM's directory" in said
