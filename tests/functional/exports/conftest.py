"""A VM without a guest, whose disks hold something, and its clients."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.testing.home import QemuHome, Result
from tests.functional.bare import BareVM
from tests.functional.exports.stopped import SMALL, disk, io

MIB = 1 << 20
SIZE = 8 * MIB


class Machine(BareVM):
    """A VM, its two ways in, and what its disks held at first."""

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
        spelt = {
            key.replace("_", "-"): value for key, value in arguments.items()
        }
        return super().qmp(command, **spelt)

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
def web(qemu_home: QemuHome) -> QemuHome:
    """A home with a VM whose first MiB is full of ones."""
    done = qemu_home("create", "web", "--disk", "64M", *SMALL)
    assert done.rc == 0, done.err
    assert io(disk(qemu_home), "write -P 1 0 1M")
    return qemu_home
