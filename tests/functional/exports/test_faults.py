"""What goes wrong while a disk is served: nothing is lost, nothing left."""

import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.functional.exports.clients import read, run
from tests.functional.until import until

if TYPE_CHECKING:
    from .conftest import Machine


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
