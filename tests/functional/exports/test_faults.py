"""What goes wrong while a disk is served: nothing is lost, nothing left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qemu_cli.testing.home import QemuHome

if TYPE_CHECKING:
    from .conftest import Machine

KILLED = Path(__file__).parents[1] / "killed.py"
Until = Callable[[Callable[[], object]], None]


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False
    )


def read(uri: str, pattern: int, where: str) -> bool:
    done = run(
        "qemu-io", "-r", "-f", "raw", "-c", f"read -P {pattern} {where}", uri
    )
    return done.returncode == 0 and "verification failed" not in done.stdout


@pytest.fixture
def reader() -> Iterator[Callable[[str], "subprocess.Popen[bytes]"]]:
    """Clients that have read something, and keep the rest for later."""
    started: list[subprocess.Popen[bytes]] = []

    def start(uri: str) -> "subprocess.Popen[bytes]":
        client = subprocess.Popen(
            ["nbdcopy", "--request-size=65536", uri, "-"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(client)
        assert client.stdout is not None
        assert len(client.stdout.read(4096)) == 4096
        return client

    yield start
    for client in started:
        client.kill()
        client.communicate()


def test_a_client_is_connected(
    vm: "Machine", reader: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    first, _ = vm.export()
    client = reader(first)
    refused = vm.stop()
    assert refused.rc == 6, refused.err
    assert "still in use" in refused.err
    assert "--hard" in refused.err
    # The other one had no client.
    assert [row["name"] for row in vm.exports()] == ["disk0"]
    assert read(first, 0, "7M 64k")
    assert vm.stop("--hard", "disk0").rc == 0
    client.communicate(timeout=60)
    assert client.returncode != 0
    assert vm.traces() == []


def test_a_client_vanishes(
    vm: "Machine",
    reader: Callable[..., "subprocess.Popen[bytes]"],
    until: Until,
) -> None:
    (uri,) = vm.export("disk0")
    for _ in range(3):
        client = reader(uri)
        client.kill()
        client.wait()
    assert read(uri, 0, "7M 64k")
    assert vm.status() == "running"
    until(lambda: vm.stop().rc == 0)
    assert vm.traces() == []


def test_somebody_connects_and_says_nothing(vm: "Machine") -> None:
    """QEMU 7.2 hangs for ever if it is told to end its server then."""
    import socket

    vm.export("disk0")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(vm.paths.nbd_socket))
        assert vm.stop().rc == 0
        assert vm.status() == "running"
        (uri,) = vm.export("disk0")
        assert read(uri, 0, "7M 64k")


def test_the_scratch_file_is_full(vm: "Machine") -> None:
    (uri,) = vm.export("disk0", "--scratch-size", "4M")
    assert read(uri, 0, "7M 64k")
    vm.as_guest("write -P 3 0 8M")
    assert not read(uri, 0, "7M 64k")
    assert run("nbdcopy", uri, "null:").returncode != 0
    # The guest has noticed nothing.
    assert vm.status() == "running"
    assert vm.holds(3, "0 8M")
    (file,) = vm.paths.directory.glob("export-e1.scratch*")
    assert file.stat().st_size <= 4 << 20
    assert vm.stop().rc == 0
    assert vm.holds(3, "0 8M")
    vm.as_guest("write -P 0 7M 1M")


def test_the_hosts_disk_is_full(vm: "Machine") -> None:
    """So full that not even the scratch files can be made."""
    directory = vm.paths.directory
    images = [directory / f"disk{number}.qcow2" for number in (0, 1)]
    kept = {path.name for path in directory.iterdir()}
    script = """
        mount -t tmpfs -o size=1536k tmpfs /mnt
        mount --bind /mnt "$0"
        shift 0
        "$@"
    """
    assert all(image.exists() for image in images)
    refused = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-ec", script, directory),
            *(vm.home.executable, "nbd-export", "vm"),
        ],
        env=vm.home.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert {path.name for path in directory.iterdir()} == kept
    assert vm.traces() == []


def test_a_read_only_directory(vm: "Machine") -> None:
    directory = vm.paths.directory
    script = 'mount --bind "$0" "$0"; mount -o remount,ro,bind "$0"; "$@"'
    refused = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-ec", script, directory),
            *(vm.home.executable, "nbd-export", "vm", "disk0"),
        ],
        env=vm.home.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 1, refused.stderr
    assert "Read-only file system" in refused.stderr
    assert vm.traces() == []


def kill_in(vm: "Machine", when: str, index: int, *words: str) -> bool:
    """Run a command that is killed; false: it ended before that."""
    done = subprocess.run(
        [sys.executable, KILLED, when, str(index), *words],
        env=vm.home.environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


def test_killed_between_every_two_steps_of_an_export(
    vm: "Machine", until: Until
) -> None:
    """Its guardian takes everything down, without anybody's doing."""
    vm.as_guest("write -P 4 0 1M")
    words = ("nbd-export", "vm", "disk0", "--scratch")
    steps = 0
    while kill_in(vm, "noted", steps, *words):
        until(lambda: vm.traces() == [] and not vm.paths.journal.exists())
        assert vm.status() == "running"
        assert vm.holds(4, "0 1M"), steps
        steps += 1
    assert steps > 12
    assert vm.stop().rc == 0
    # All is done, and nobody has been told.
    assert kill_in(vm, "done", steps - 1, *words)
    until(lambda: vm.traces() == [] and not vm.paths.journal.exists())


def test_killed_between_every_two_steps_of_a_stop(vm: "Machine") -> None:
    """The next command finishes it."""
    vm.as_guest("write -P 4 0 1M")
    vm.export("disk0", "--scratch")
    steps = 0
    while kill_in(vm, "noted", steps, "export", "stop", "vm"):
        assert vm.status() == "running"
        vm.as_guest("write -P 4 0 1M")
        (uri,) = vm.export("disk0", "--scratch", "--name", f"after{steps}")
        assert read(uri, 4, "0 1M")
        steps += 1
    assert steps > 7
    vm.stop()
    assert vm.traces() == []


def test_qemu_is_killed(vm: "Machine") -> None:
    """The next start removes what is left."""
    vm.export()
    os.kill(int(vm.paths.pid_file.read_text()), signal.SIGKILL)
    while vm.ok("list", "vm", "-f", "json").json[0]["state"] == "running":
        time.sleep(0.05)
    assert vm.exports() == []
    assert list(vm.paths.directory.glob("export-*"))
    vm.ok("start", "vm")
    assert vm.traces() == []
    assert run(
        "qemu-img", "check", "-U", vm.paths.directory / "disk0.qcow2"
    ).returncode in (0, 3)


def test_qemu_ends(machine: Callable[..., "Machine"]) -> None:
    vm = machine("ends")
    vm.export("--scratch")
    assert list(vm.paths.directory.glob("export-*"))
    vm.ok("quit", "ends")
    assert not list(vm.paths.directory.glob("export-*"))
    assert not list(vm.paths.exports.iterdir())
    vm.ok("start", "ends")
    vm.export()
    vm.ok("quit", "ends")
    vm.ok("delete", "ends", "--yes")


@pytest.mark.parametrize("number", ["INT", "TERM", "HUP", "KILL"])
def test_the_foreground(vm: "Machine", until: Until, number: str) -> None:
    served = subprocess.Popen(
        [vm.home.executable, "nbd-export", "vm", "disk0", "--foreground"],
        env=vm.home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert served.stdout is not None
        uri = served.stdout.readline().strip()
        assert read(uri, 0, "7M 64k")
        assert [row["name"] for row in vm.exports()] == ["disk0"]
        served.send_signal(getattr(signal, f"SIG{number}"))
        served.communicate(timeout=60)
    finally:
        served.kill()
        served.communicate()
    assert served.returncode == (-9 if number == "KILL" else 0)
    until(lambda: vm.traces() == [])
    assert vm.exports() == []


def test_the_foreground_ends_with_what_it_holds(vm: "Machine") -> None:
    for words, code, text in (
        (("export", "stop", "vm"), 0, ""),
        (("kill", "vm"), 1, "has ended"),
    ):
        served = subprocess.Popen(
            [vm.home.executable, "nbd-export", "vm", "disk0", "--foreground"],
            env=vm.home.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert served.stdout is not None
            assert served.stdout.readline()
            vm.ok(*words)
            _, said = served.communicate(timeout=60)
        finally:
            served.kill()
            served.communicate()
        assert served.returncode == code, said
        assert text in said
    vm.ok("start", "vm")


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
    vm.as_guest("write -P 5 7M 64k")
    assert all(read(uri, 0, "7M 64k") for uri in uris) or all(
        read(uri, 5, "7M 64k") is False for uri in uris
    )
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
    assert [row["disk"] for row in vm.exports()] == ["device[0]", "disk0"]
    assert len(uris) == 2
    by_hand = uris[0]
    assert "device%5B0%5D" in by_hand
    vm.as_guest("write -P 7 0 8M", "device[0]")
    assert read(by_hand, 6, "0 8M")
    assert vm.stop().rc == 0
    assert vm.traces() == []
    refused = vm.home("nbd-export", "hand", "unused")
    assert refused.rc in (3, 4)
    vm.ok("quit", "hand")


def test_an_io_thread(machine: Callable[..., "Machine"]) -> None:
    """QEMU 7.2 aborts when a client leaves such an export."""
    vm = machine(
        "thread",
        *("--disk", "8M,bus=scsi"),
        *("--qemu-arg=-object", "--qemu-arg=iothread,id=io0"),
        *("--qemu-arg=-global", "--qemu-arg=virtio-blk-pci.iothread=io0"),
    )
    version = vm.qmp("query-version")["qemu"]["major"]
    served = vm.home("nbd-export", "thread", "disk0")
    if version < 9:
        assert served.rc == 4, served.err
        assert "has an I/O thread" in served.err
    else:
        assert served.rc == 0, served.err
        assert run("nbdcopy", served.out.strip(), "null:").returncode == 0
    # A disk without one can be served in any case.
    (uri,) = vm.export("disk1")
    assert run("nbdcopy", uri, "null:").returncode == 0
    assert vm.status() == "running"
    vm.ok("quit", "thread")


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
