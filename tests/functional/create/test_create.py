"""create: names, what is refused, and what it says."""

import subprocess
from pathlib import Path

import pytest

from qemu_cli.instance import definitions
from qemu_cli.testing.home import QemuHome
from tests.functional.create.making import QUICK, image, make, refused, running


@pytest.mark.parametrize(
    ("options", "rc", "message"),
    [
        (["--image", "{files}/nosuch"], 3, "there is no image file"),
        (["--image", "{files}"], 2, "is a directory, not an image"),
        (["--disk", "{files}"], 2, "is a directory, not an image"),
        (["--disk", "/dev/null"], 2, "is a special file"),
        (["--disk", "nosuch.img"], 2, "neither a size nor a file"),
        (["--disk", "{files}/base.qcow2,size=1M"], 2, "cut off"),
        (["--disk", "{files}/base.raw,format=vdi"], 1, "qemu-img failed"),
        (["--cdrom", "{files}/nosuch.iso"], 3, "there is no file"),
        (["--cdrom", "{files}"], 2, "Is a directory"),
        (["--kernel", "{files}/nosuch"], 3, "there is no file"),
        (["--initrd", "{files}/base.raw"], 2, "go with --kernel"),
        (["--append", "quiet"], 2, "go with --kernel"),
        (["--profile", "nosuch"], 2, "nosuch"),
        (["--profile", "virt"], 2, "virt is not for x86_64"),
        (["--machine", "nosuch"], 2, "nosuch"),
        (["--arch", "nosuch"], 3, "nosuch"),
        (["--cpus", "100000"], 2, "CPUs"),
        (["--memory", "1K"], 2, "at least 1M"),
        (["--memory", "1025K"], 2, "whole MiB"),
        (["--memory", "100T"], 2, "16T"),
        (["--memory", "2X"], 2, "2X"),
        (["--nic", "none", "--forward", "22"], 2, "needs a user NIC"),
        (["--forward", "1:1", "--forward", "1:2"], 2, "forwarded twice"),
        (["--forward", "192.0.2.1::22"], 2, "192.0.2.1"),
        (["--secure-boot", "--firmware", "bios"], 2, "needs UEFI"),
        (["--profile", "microvm", "--firmware", "uefi"], 2, "no uefi"),
        (["--profile", "microvm", "--display", "vnc"], 2, "no screen"),
        (["--profile", "microvm", "--tpm"], 2, "no TPM"),
        (["--profile", "microvm", "--disk", "1M,bus=nvme"], 2, "no nvme"),
        (["--copy", "--in-place"], 2, "not allowed with"),
    ],
)
def test_what_makes_no_sense_makes_nothing(
    qemu_home: QemuHome, files: Path, options: list[str], rc: int, message: str
) -> None:
    words = [word.format(files=files) for word in options]
    assert message in refused(qemu_home, *words, rc=rc).err


def test_names_that_cannot_be(qemu_home: QemuHome) -> None:
    for name in ("a/b", "..", "a b", "веб", "x" * 300, "all", ".hidden", ""):
        result = qemu_home("create", "--", name)
        assert result.rc == 2, (name, result.err)
    assert qemu_home("create", "-x").rc == 2
    assert qemu_home("list", "-q").out == ""


def test_a_name_that_is_taken(qemu_home: QemuHome) -> None:
    before = make(qemu_home, "vm")
    result = qemu_home("create", "vm", *QUICK)
    assert result.rc == 4
    assert "there is an instance 'vm' already" in result.err
    after = definitions.load(qemu_home.paths.instance("vm").definition)
    assert after == before


def test_start_at_once(qemu_home: QemuHome) -> None:
    result = qemu_home("create", "vm", *QUICK, "--start")
    assert result.rc == 0, result.err
    pid = running(qemu_home, "vm")["pid"]
    assert f"vm: started (pid {pid})" in result.err


def test_a_start_that_fails_says_what_was_made(qemu_home: QemuHome) -> None:
    result = qemu_home("create", "vm", *QUICK, "--start", "--qemu-arg=-nosuch")
    assert result.rc == 5
    assert "vm: created, but not started" in result.err
    assert "-nosuch: invalid option" in result.err
    (row,) = qemu_home("list", "vm", "-f", "json").json
    assert row["state"] == "stopped"


def test_dry_run_can_be_pasted_and_changes_nothing(
    qemu_home: QemuHome, files: Path
) -> None:
    options = ("--image", files / "base.qcow2", "--disk", "1M",
               "--append", "it's", "--kernel", files / "base.raw")  # fmt: skip
    shown = qemu_home("create", "vm", *QUICK, *options, "--dry-run")
    assert shown.rc == 0, shown.err
    assert not qemu_home.paths.instances.exists()
    subprocess.run(["sh", "-e"], input=shown.out, text=True, check=True)
    paths = qemu_home.paths.instance("vm")
    definition = definitions.load(paths.definition)
    assert definition.boot is not None
    assert definition.boot.append == "it's"
    made = image(paths.directory / definition.disks[0].file)
    assert made["full-backing-filename"] == str(files / "base.qcow2")
    assert paths.directory.stat().st_mode & 0o777 == 0o700
    (row,) = qemu_home("list", "-f", "json").json
    assert (row["name"], row["state"]) == ("vm", "stopped")


@pytest.mark.parametrize("output", ["table", "json", "csv", "yaml", "value"])
def test_what_was_made_in_every_format(
    qemu_home: QemuHome, output: str
) -> None:
    result = qemu_home(
        *("create", "vm", *QUICK, "--disk", "1M", "--forward", "22"),
        *("-f", output),
    )
    assert result.rc == 0, result.err
    assert str(qemu_home.paths.instance("vm").directory) in result.out
    if output == "json":
        assert result.json["disks"] == ["disk0.qcow2"]
        assert result.json["memory_mib"] == 64
        (forward,) = result.json["forwards"]
        assert forward["guest_port"] == 22
        assert forward["protocol"] == "tcp"
        assert 0 < forward["host_port"] < 65536


def test_a_format_that_there_is_not_makes_nothing(
    qemu_home: QemuHome,
) -> None:
    assert qemu_home("create", "vm", *QUICK, "-f", "nosuch").rc == 2
    assert qemu_home("list", "-q").out == ""
