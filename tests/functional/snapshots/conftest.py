"""A VM without a guest; what one would write, qemu-io(1) writes."""

import json
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.instance import definitions
from qemu_cli.proc import ProcFS
from qemu_cli.testing.home import QemuHome, Result
from tests.functional.bare import TIMEOUT_S, BareVM

MIB = 1 << 20
SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")


class Machine(BareVM):
    """A VM, running or stopped."""

    def ok(self, *words: str | Path) -> Result:
        """Run ``qemu``; it must not fail."""
        result = self.home(*words)
        assert result.rc == 0, result.err
        return result

    def snapshot(self, *words: str) -> Result:
        """Take a snapshot."""
        return self.ok("snapshot", "create", self.name, *words)

    def revert(self, *words: str) -> dict[str, Any]:
        """Go back, without being asked; what is told about it."""
        done = self.ok(
            *("snapshot", "revert", self.name, *words, "--yes", "-f", "json")
        )
        return dict(done.json)

    def row(self) -> dict[str, Any]:
        """How ``list`` shows it."""
        rows = self.ok("list", "-f", "json").json
        return next(dict(row) for row in rows if row["name"] == self.name)

    @property
    def state(self) -> str:
        return str(self.row()["state"])

    @property
    def alive(self) -> bool:
        """Whether its QEMU runs: cheaper than to ask ``list``."""
        try:
            pid = int(self.paths.pid_file.read_text())
        except FileNotFoundError:
            return False
        return ProcFS().process(pid) is not None

    @property
    def images(self) -> dict[str, Path]:
        """The images that it writes to, by their disks' ids."""
        definition = definitions.load(self.paths.definition)
        return {
            image.id: self.paths.directory / image.file
            for image in definition.images
        }

    @property
    def files(self) -> set[str]:
        """The images in its directory."""
        return {file.name for file in self.paths.directory.glob("*.qcow2")}

    @property
    def current(self) -> str | None:
        """The snapshot that today stands on."""
        listed = self.ok("snapshot", "list", self.name, "-f", "json").json
        return next((row["name"] for row in listed if row["current"]), None)

    def events(self) -> list[str]:
        """What QEMU has told since it was started."""
        lines = self.paths.events_out.read_text().splitlines()
        return [
            message["event"]
            for message in map(json.loads, lines)
            if "event" in message
        ]

    def io(self, command: str, disk: str = "disk0") -> str:
        """Read or write as the guest does; what qemu-io says."""
        if not self.alive:
            images = definitions.load(self.paths.definition).images
            (image,) = [each for each in images if each.id == disk]
            file = self.paths.directory / image.file
            done = subprocess.run(
                ["qemu-io", "-f", image.format, "-c", command, file],
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
            assert not done.stderr, done.stderr
            return done.stdout
        return self.as_guest(command, disk)

    def write(self, pattern: int, *disks: str, where: str = "0 64k") -> None:
        for disk in disks or ("disk0", "disk1"):
            assert "wrote" in self.io(f"write -P {pattern} {where}", disk)

    def holds(self, pattern: int, *disks: str, where: str = "0 64k") -> bool:
        """Whether the guest reads bytes of this value."""
        said = [
            self.io(f"read -P {pattern} {where}", disk)
            for disk in disks or ("disk0", "disk1")
        ]
        assert all("bytes at" in each for each in said), said
        return not any("verification failed" in each for each in said)


@pytest.fixture(scope="module")
def home() -> Iterator[QemuHome]:
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        home = QemuHome(Path(directory))
        yield home
        home.close()


@pytest.fixture
def machine(home: QemuHome) -> Iterator[Callable[..., Machine]]:
    """Make a VM of two disks: ``machine(*options)``; it ends with the test."""
    made: list[Machine] = []

    def make(*options: str | Path, name: str = "") -> Machine:
        vm = Machine(home, name or f"m{len(made)}")
        vm.ok("create", vm.name, *SMALL, *options)
        made.append(vm)
        return vm

    yield make
    for vm in reversed(made):
        home("kill", vm.name)
        home("delete", vm.name, "--yes")


@pytest.fixture
def vm(machine: Callable[..., Machine]) -> Machine:
    """A stopped VM of a virtio-blk disk and a virtio-scsi one."""
    return machine("--disk", "8M", "--disk", "8M,bus=scsi")


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a guest's RAM is filled with, so that saving it takes long."""
    file = tmp_path_factory.mktemp("noise") / "noise"
    file.write_bytes(random.Random(3).randbytes(160 * MIB))
    return file


@pytest.fixture
def busy(machine: Callable[..., Machine], noise: Path) -> Machine:
    """A running VM whose RAM is full."""
    loader = f"loader,file={noise},addr={64 * MIB:#x},force-raw=on"
    vm = machine(
        *("--disk", "8M", "--disk", "8M,bus=scsi", "--memory", "256M"),
        *("--qemu-arg=-device", f"--qemu-arg={loader}"),
    )
    vm.write(1)
    vm.snapshot("before")
    vm.write(2)
    vm.ok("start", vm.name)
    return vm
