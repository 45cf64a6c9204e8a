"""Every board starts with the QEMU at hand, with one device of each kind."""

from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest

DISKS = ("--disk", "8M", "--disk", "8M,bus=scsi", "--forward", "22")

BOARDS = {
    "q35-bios": (*DISKS, "--disk", "8M,bus=sata", "--disk", "8M,bus=nvme"),
    "q35-uefi": (*DISKS, "--firmware", "uefi", "--tpm", "--display", "vnc"),
    "microvm": ("--profile", "microvm", *DISKS),
    "virt-bios": ("--arch", "aarch64", "--firmware", "bios", *DISKS),
    "virt-uefi": ("--arch", "aarch64", "--firmware", "uefi", *DISKS),
}


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_starts(
    qemu_home: QemuHome, tiny_guest: TinyGuest, tmp_path: Path, board: str
) -> None:
    words = ["--memory", "256M", "--cpus", "2", "--accel", "tcg"]
    if board == "microvm":
        words += ["--kernel", str(tiny_guest.kernel)]
    made = qemu_home("create", "vm", *words, *BOARDS[board])
    assert made.rc == 0, made.err
    started = qemu_home("start", "vm", "--paused")
    assert started.rc == 0, started.err
    (row,) = qemu_home("list", "-f", "json").json
    assert row["state"] == "paused"
    assert row["cpus"] == 2
    assert row["memory_mib"] == 256
    log = qemu_home.paths.instance("vm").qemu_log
    assert log.read_text() == ""  # no warning of QEMU's either
    assert qemu_home("quit", "vm").rc == 0


def test_a_microvm_boots_and_hears(
    qemu_home: QemuHome, create, wait_for_guest
) -> None:
    create("vm", "--profile", "microvm", "--disk", "8M")
    assert qemu_home("start", "vm").rc == 0
    wait_for_guest("vm")
    stopped = qemu_home("shutdown", "vm")
    assert stopped.rc == 0, stopped.err
