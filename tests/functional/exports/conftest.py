"""A VM without a guest, whose disks hold something, and its clients."""

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.testing.home import QemuHome, Result

TIMEOUT_S = 60.0
MIB = 1 << 20
SIZE = 8 * MIB


class Machine:
    """A VM, its two ways in, and what its disks held at first."""

    def __init__(self, home: QemuHome, name: str) -> None:
        self.home = home
        self.name = name
        self.paths = home.paths.instance(name)

    def ok(self, *words: str | Path) -> Result:
        """Run ``qemu``; it must not fail."""
        result = self.home(*words)
        assert result.rc == 0, result.err
        return result

    def export(self, *words: str | Path) -> list[str]:
        """The URIs of new exports."""
        return self.ok("nbd-export", self.name, *words).out.split()

    def stop(self, *words: str) -> Result:
        return self.home("export", "stop", self.name, *words)

    def exports(self) -> list[Any]:
        return list(self.ok("export", "list", self.name, "-f", "json").json)

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Ask QEMU something, on a monitor that nobody needs."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(str(self.paths.follower_sockets[1]))
            stream = client.makefile("rw")
            for message in (
                {"execute": "qmp_capabilities"},
                {
                    "execute": command,
                    "arguments": {
                        key.replace("_", "-"): value
                        for key, value in arguments.items()
                    },
                    "id": "the one",
                },
            ):
                stream.write(json.dumps(message) + "\n")
            stream.flush()
            for line in stream:
                reply = json.loads(line)
                if reply.get("id") == "the one":
                    assert "error" not in reply, reply
                    return reply["return"]
        raise AssertionError("QEMU has ended")

    def as_guest(self, command: str, disk: str = "disk0") -> str:
        """Read or write as the guest does (qemu-io(1)); what it says."""
        log = self.paths.qemu_log
        said = log.stat().st_size
        for block in self.qmp("query-block"):
            qdev = block.get("qdev", "")
            if disk in qdev.split("/"):
                line = f'qemu-io -d {qdev} "{command}"'
                self.qmp("human-monitor-command", command_line=line)
                with log.open() as stream:
                    stream.seek(said)
                    return stream.read()
        raise AssertionError(f"there is no {disk}")

    def holds(self, pattern: int, where: str, disk: str = "disk0") -> bool:
        """Whether the guest reads bytes of this value; ``0 1M``, say."""
        said = self.as_guest(f"read -P {pattern} {where}", disk)
        return "verification failed" not in said and "bytes at" in said

    def status(self) -> str:
        return str(self.qmp("query-status")["status"])

    def traces(self) -> list[str]:
        """What exports have left, in QEMU and in files."""
        nodes = self.qmp("query-named-block-nodes", flat=True)
        names = [
            *(each["id"] for each in self.qmp("query-block-exports")),
            *(each["node-name"] for each in nodes),
            *(file.name for file in self.paths.directory.iterdir()),
            *(file.name for file in _files(self.paths.exports)),
        ]
        ours = ("e1", "e2", "e3", "export-")
        return [name for name in names if name.startswith(ours)]


def _files(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []


@pytest.fixture(scope="module")
def home() -> Iterator[QemuHome]:
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        home = QemuHome(Path(directory))
        yield home
        home.close()


@pytest.fixture(scope="module")
def content(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Path]:
    """What a disk holds at first, as a raw image: random, with holes."""
    directory = tmp_path_factory.mktemp("content")

    def make(disk: str) -> Path:
        file = directory / f"{disk}.raw"
        if not file.exists():
            data = os.urandom(3 * MIB) + bytes(MIB) + os.urandom(2 * MIB)
            file.write_bytes(data.ljust(SIZE, b"\0"))
        return file

    return make


@pytest.fixture(scope="module")
def fill(content: Callable[[str], Path]) -> Callable[[Machine], None]:
    """Put the content on the disks of a VM that does not run."""

    def convert(vm: Machine) -> None:
        for image in vm.paths.directory.glob("disk?.qcow2"):
            subprocess.run(
                [
                    *("qemu-img", "convert", "-f", "raw", "-O", "qcow2"),
                    *(content(image.stem), image),
                ],
                check=True,
            )

    return convert


@pytest.fixture(scope="module")
def machine(
    home: QemuHome, fill: Callable[[Machine], None]
) -> Callable[..., Machine]:
    """Make a VM and start it: ``machine(NAME, OPTION…)``."""

    def make(name: str, *options: str | Path) -> Machine:
        vm = Machine(home, name)
        vm.ok(
            *("create", name, "--memory", "64M", "--accel", "tcg"),
            *("--nic", "none", "--disk", "8M", *options),
        )
        fill(vm)
        vm.ok("start", name)
        return vm

    return make


@pytest.fixture(scope="module")
def shared(machine: Callable[..., Machine]) -> Machine:
    """One VM with two disks for all tests of a file."""
    return machine("vm", "--disk", "8M,bus=scsi")


@pytest.fixture
def vm(shared: Machine) -> Iterator[Machine]:
    """It runs, and serves nothing, before and after each test."""
    yield shared
    shared.stop("--hard")
    assert shared.traces() == []
    assert shared.status() == "running"


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until something is true."""

    def wait(true: Callable[[], object]) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not true():
            assert time.monotonic() < end
            time.sleep(0.05)

    return wait
