"""create: what the machine then is."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from qemu_cli.instance import model
from qemu_cli.testing.home import QemuHome, Result
from tests.functional.create.making import image, make, running, start


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
