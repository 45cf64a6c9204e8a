"""create: every option, and what the machine then is."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.instance import definitions, model
from qemu_cli.instance.model import Definition
from qemu_cli.testing.home import QemuHome, Result

QUICK = ("--accel", "tcg", "--memory", "64M")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a qcow2 image of 8M, and a raw one of 4M."""
    for name, image_format, size in (
        ("base.qcow2", "qcow2", "8M"),
        ("base.raw", "raw", "4M"),
    ):
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", image_format, name, size],
            cwd=tmp_path,
            check=True,
        )
    return tmp_path


def make(qemu_home: QemuHome, name: str, *options: str | Path) -> Definition:
    result = qemu_home("create", name, *QUICK, *options)
    assert result.rc == 0, result.err
    return definitions.load(qemu_home.paths.instance(name).definition)


def refused(qemu_home: QemuHome, *options: str | Path, rc: int = 2) -> Result:
    """Nothing is made when this is asked for."""
    result = qemu_home("create", "vm", *QUICK, *options)
    assert result.rc == rc, result.err
    assert result.out == ""
    assert result.err.startswith("qemu: error: ")
    assert not qemu_home.paths.instance("vm").directory.exists()
    assert list(qemu_home.paths.pending.glob("*")) == []
    return result


def running(qemu_home: QemuHome, name: str) -> dict[str, Any]:
    (row,) = qemu_home("list", name, "-f", "json").json
    assert row["state"] == "running", row
    return dict(row)


def start(qemu_home: QemuHome, name: str) -> list[str]:
    """Start it; returns QEMU's command line."""
    result = qemu_home("start", name)
    assert result.rc == 0, result.err
    pid = running(qemu_home, name)["pid"]
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def image(file: Path) -> dict[str, Any]:
    argv = ["qemu-img", "info", "-U", "--output=json", str(file)]
    return dict(json.loads(subprocess.check_output(argv)))


# What is made of images


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


# The machine


def test_kernel_initrd_and_command_line(
    qemu_home: QemuHome, files: Path
) -> None:
    definition = make(
        qemu_home,
        "vm",
        *("--kernel", files / "base.raw", "--initrd", files / "base.raw"),
        *("--append", "a=1 'b c'"),
    )
    assert definition.boot == model.Kernel(
        kernel=str(files / "base.raw"),
        initrd=str(files / "base.raw"),
        append="a=1 'b c'",
    )


def test_memory_cpus_machine_cpu_and_arguments(qemu_home: QemuHome) -> None:
    definition = make(
        qemu_home,
        "vm",
        *("--memory", "128M", "--cpus", "2", "--machine", "pc-q35-7.0"),
        *("--cpu", "qemu64", "--qemu-arg=-name", "--qemu-arg=other"),
    )
    assert definition.machine.memory_mib == 128
    argv = start(qemu_home, "vm")
    row = running(qemu_home, "vm")
    assert (row["cpus"], row["memory_mib"]) == (2, 128)
    assert row["machine"] == "pc-q35-7.0"
    assert argv[argv.index("-cpu") + 1] == "qemu64"
    assert argv[-2:] == ["-name", "other"]


def test_everything_that_is_always_there(qemu_home: QemuHome) -> None:
    make(qemu_home, "vm")
    argv = start(qemu_home, "vm")
    for device in ("virtio-rng", "virtio-balloon", "virtserialport"):
        assert any(word.startswith(device) for word in argv), device
    assert sum(word.startswith("pcie-root-port") for word in argv) == 9
    assert sum(word.endswith("mode=control") for word in argv) == 5
    assert qemu_home.paths.instance("vm").serial_log.exists()
    assert qemu_home.paths.instance("vm").events_out.exists()


def test_uefi(qemu_home: QemuHome) -> None:
    definition = make(
        qemu_home, "vm", "--firmware", "uefi", "--memory", "256M",
        "--display", "vnc",
    )  # fmt: skip
    assert definition.firmware.kind == "uefi"
    paths = qemu_home.paths.instance("vm")
    assert image(paths.nvram)["format"] == "qcow2"
    start(qemu_home, "vm")
    # The first that the firmware does is to clear the terminal.
    wait_until(lambda: b"\x1b[2J" in paths.serial_log.read_bytes())


def test_secure_boot_without_system_management_mode(
    qemu_home: QemuHome,
) -> None:
    options = ("--arch", "aarch64", "--memory", "256M")
    make(qemu_home, "vm", "--secure-boot", *options)
    start(qemu_home, "vm")
    log = qemu_home.paths.instance("vm").serial_log
    wait_until(lambda: b"\x1b[2J" in log.read_bytes())


def test_secure_boot(
    qemu_home: QemuHome,
    create: Callable[..., Result],
    wait_for_guest: Callable[..., None],
) -> None:
    create("vm", "--secure-boot")
    argv = start(qemu_home, "vm")
    assert "driver=cfi.pflash01,property=secure,value=on" in argv
    assert "smm=on" in argv[argv.index("-machine") + 1]
    wait_for_guest("vm", "guest#")

    def shell(line: str) -> str:
        return qemu_home("console", "vm", stdin=f"{line}\n").out

    # The guest's kernel says itself what the firmware told it.
    assert "Secure boot enabled" in shell("dmesg | grep secureboot:")
    # The firmware's own memory and its variables are saved, too.
    assert qemu_home("save", "vm").rc == 0
    start(qemu_home, "vm")
    assert "goes-on-42" in shell("echo goes-on-$((40 + 2))")


def test_another_architecture(qemu_home: QemuHome) -> None:
    definition = make(
        qemu_home, "vm", "--arch", "aarch64", "--disk", "1M", "--cpus", "2"
    )
    assert definition.profile == "virt"
    assert definition.firmware.kind == "uefi"
    start(qemu_home, "vm")
    row = running(qemu_home, "vm")
    assert row["arch"] == "aarch64"
    assert row["machine"].startswith("virt-")


def test_microvm(
    qemu_home: QemuHome,
    create: Callable[..., Result],
    wait_for_guest: Callable[..., None],
) -> None:
    create("vm", "--profile", "microvm", "--disk", "1M")
    argv = start(qemu_home, "vm")
    assert any(word.startswith("virtio-blk-device") for word in argv)
    wait_for_guest("vm")
    assert qemu_home("quit", "vm").rc == 0


def test_a_screen_on_a_socket(qemu_home: QemuHome) -> None:
    make(qemu_home, "vm", "--display", "vnc")
    start(qemu_home, "vm")
    paths = qemu_home.paths.instance("vm")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(paths.vnc_socket))
        assert client.recv(12).startswith(b"RFB 003.")


def swtpm_of(qemu_home: QemuHome, name: str) -> list[int]:
    """The pids of this VM's TPM processes that have not ended."""
    state = str(qemu_home.paths.instance(name).tpm_state)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if words[0].endswith("swtpm") and f"dir={state}" in words:
            found.append(int(process.name))
    return found


def test_a_tpm_lives_and_ends_with_its_vm(qemu_home: QemuHome) -> None:
    make(qemu_home, "vm", "--tpm")
    argv = start(qemu_home, "vm")
    assert "tpm-crb,tpmdev=tpm0" in argv
    assert len(swtpm_of(qemu_home, "vm")) == 1
    assert qemu_home("quit", "vm").rc == 0
    wait_until(lambda: not swtpm_of(qemu_home, "vm"))

    # A TPM whose QEMU never came is in nobody's way.
    paths = qemu_home.paths.instance("vm")
    subprocess.run(
        [
            *(shutil.which("swtpm") or "", "socket", "--daemon", "--tpm2"),
            *("--tpmstate", f"dir={paths.tpm_state}"),
            *("--ctrl", f"type=unixio,path={paths.tpm_socket}"),
            *("--pid", f"file={paths.tpm_pid_file}"),
        ],
        check=True,
    )
    left = swtpm_of(qemu_home, "vm")
    assert len(left) == 1
    start(qemu_home, "vm")
    assert len(swtpm_of(qemu_home, "vm")) == 1
    assert swtpm_of(qemu_home, "vm") != left
    assert qemu_home("kill", "vm").rc == 0
    wait_until(lambda: not swtpm_of(qemu_home, "vm"))


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 180
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


# The network


def test_no_nic(qemu_home: QemuHome) -> None:
    assert make(qemu_home, "vm", "--nic", "none").nics == ()
    assert "-netdev" not in start(qemu_home, "vm")


def test_forwards(qemu_home: QemuHome) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        typed = free.getsockname()[1]
    options = ("--forward", "22", "--forward", f"{typed}:80",
               "--forward", "0.0.0.0:0:53/udp")  # fmt: skip
    definition = make(qemu_home, "vm", *options)
    chosen = definition.forwards[0].host_port
    assert [(f.host_address, f.guest_port, f.protocol)
            for f in definition.forwards] == [
        ("127.0.0.1", 22, "tcp"),
        ("127.0.0.1", 80, "tcp"),
        ("0.0.0.0", 53, "udp"),
    ]  # fmt: skip
    assert definition.forwards[1].host_port == typed
    start(qemu_home, "vm")
    for port in (chosen, typed):
        with socket.create_connection(("127.0.0.1", port), 30):
            pass
    # What was chosen once is another VM's no more, running or not.
    assert qemu_home("quit", "vm").rc == 0
    result = qemu_home("create", "other", "--forward", f"{typed}:22")
    assert result.rc == 4
    assert "belongs to instance 'vm'" in result.err
    # A port of one protocol is not that of another.
    both = f"{typed}:53/udp"
    made = qemu_home("create", "dns", "--forward", both)
    assert made.rc == 0
    assert f"127.0.0.1:{typed}→53/udp\n" in made.out
    assert f" {typed}→53/udp\n" in qemu_home("list", "dns").out
    assert qemu_home("create", "dns2", "--forward", both).rc == 4


def test_a_forward_that_is_in_use_when_it_starts(
    qemu_home: QemuHome,
) -> None:
    (forward,) = make(qemu_home, "vm", "--forward", "22").forwards
    with socket.socket() as other:
        other.bind(("127.0.0.1", forward.host_port))
        other.listen()
        result = qemu_home("start", "vm")
    assert result.rc == 5
    assert "Could not set up host forwarding rule" in result.err
    assert "another program uses that host port" in result.err
    assert f"hostfwd=tcp:127.0.0.1:{forward.host_port}-:22" in result.err


BRIDGE = "qctest0"
CONF = Path("/etc/qemu/bridge.conf")


@pytest.fixture
def bridge() -> Iterator[str]:
    """A bridge of the host; needs root."""
    subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
    yield BRIDGE
    subprocess.run(["ip", "link", "del", BRIDGE], check=True)


@contextlib.contextmanager
def allowed(bridge: str) -> Iterator[None]:
    """QEMU's helper may use the bridge; the file is put back."""
    before = CONF.read_bytes() if CONF.exists() else None
    made = not CONF.parent.exists()
    CONF.parent.mkdir(exist_ok=True)
    CONF.write_bytes((before or b"") + f"\nallow {bridge}\n".encode())
    try:
        yield
    finally:
        if before is not None:
            CONF.write_bytes(before)
        else:
            CONF.unlink()
            if made:
                CONF.parent.rmdir()


# One test: the bridge and the file are the host's, and tests run in parallel.
def test_a_bridge(qemu_home: QemuHome, bridge: str) -> None:
    definition = make(qemu_home, "vm", "--nic", f"bridge={bridge}")
    assert definition.nics[0].bridge == bridge
    result = qemu_home("start", "vm")
    assert result.rc == 5
    assert f"no tap device on bridge '{bridge}'" in result.err
    assert f"allow {bridge}" in result.err
    (row,) = qemu_home("list", "vm", "-f", "json").json
    assert row["state"] == "stopped"
    with allowed(bridge):
        argv = start(qemu_home, "vm")
    assert re.match(r"tap,id=net0,fd=\d+", argv[argv.index("-netdev") + 1])
    members = Path(f"/sys/class/net/{bridge}/brif")
    assert len(list(members.iterdir())) == 1
    assert qemu_home("quit", "vm").rc == 0
    assert list(members.iterdir()) == []


# What is printed


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
