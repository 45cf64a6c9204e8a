"""A VM whose disks are worked on; what a guest would do, qemu-io does."""

import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.testing.home import QemuHome, Result
from tests.functional.bare import BareVM
from tests.functional.killing import kill_in

TIMEOUT_S = 60.0
MIB = 1 << 20
SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")


class DiskVM(BareVM):
    """A VM, running or stopped."""

    def __init__(self, home: QemuHome, name: str) -> None:
        super().__init__(home, name)
        self.directory = self.paths.directory

    def run(self, words: str, *more: str | Path) -> Result:
        """Run ``qemu disk add VM …`` and the like: the VM is put in."""
        *command, last = words.split()
        if command:
            return self.home(*command, last, self.name, *more)
        return self.home(last, self.name, *more)

    def ok(self, words: str, *more: str | Path) -> Result:
        """The same; it must not fail."""
        result = self.run(words, *more)
        assert result.rc == 0, result.err
        return result

    def refused(self, code: int, words: str, *more: str | Path) -> str:
        """The same; it must fail with this code, and change nothing."""
        before = self.state()
        result = self.run(words, *more)
        assert result.rc == code, result.err
        assert self.state() == before
        assert not self.paths.journal.exists()
        return result.err

    def state(self) -> tuple[str, set[str], list[str]]:
        """All that a command that fails must leave as it was."""
        files = {
            str(file.relative_to(self.directory))
            for file in self.directory.rglob("*.*")
            if file.suffix in (".qcow2", ".raw")
        }
        return self.paths.definition.read_text(), files, self.nodes()

    @property
    def definition(self) -> dict[str, Any]:
        return tomllib.loads(self.paths.definition.read_text())

    def disk(self, id: str = "disk0") -> dict[str, Any]:
        """A disk's entry in the definition."""
        found = self.definition["disks"]
        return next(dict(disk) for disk in found if disk["id"] == id)

    def image(self, id: str = "disk0") -> Path:
        return self.directory / str(self.disk(id)["file"])

    def layers(self, id: str = "disk0") -> list[dict[str, Any]]:
        """What ``disk list`` says of a disk."""
        rows = self.ok("disk list", "-f", "json").json
        return [row for row in rows if row["disk"] == id]

    @property
    def running(self) -> bool:
        return self.paths.pid_file.exists()

    def nodes(self) -> list[str]:
        """The names of QEMU's nodes; a name that it made up is one of many."""
        if not self.running:
            return []
        found = self.qmp("query-named-block-nodes", flat=True)
        return sorted(node["node-name"].split("#")[0] for node in found)

    def devices(self) -> list[str]:
        """The ids of what is plugged in."""
        found = self.qmp("qom-list", path="/machine/peripheral")
        return [each["name"] for each in found]

    def io(self, command: str, id: str = "disk0") -> str:
        """Read or write as the guest does; what qemu-io says."""
        if not self.running:
            return run_tool(
                "qemu-io",
                "-f",
                self.disk(id)["format"],
                "-c",
                command,
                self.image(id),
            )
        return self.as_guest(command, id)

    def write(self, pattern: int, where: str, id: str = "disk0") -> None:
        assert "wrote" in self.io(f"write -P {pattern} {where}", id)

    def holds(self, pattern: int, where: str, id: str = "disk0") -> bool:
        """Whether the guest reads bytes of this value; ``0 1M``, say."""
        said = self.io(f"read -P {pattern} {where}", id)
        assert "bytes at" in said, said
        return "verification failed" not in said

    def stack(self, id: str = "disk0", count: int = 1) -> None:
        """Put overlays on a disk of a stopped VM, by hand."""
        for _ in range(count):
            below = self.image(id)
            number = len(list(self.directory.glob(f"{id}*.qcow2")))
            top = f"{id}.{number}.qcow2"
            run_tool(
                "qemu-img",
                "create",
                "-q",
                "-f",
                "qcow2",
                "-b",
                below.name,
                "-F",
                self.disk(id)["format"],
                self.directory / top,
            )
            text = self.paths.definition.read_text()
            self.paths.definition.write_text(
                text.replace(f'"{below.name}"', f'"{top}"')
            )

    def kill(self) -> None:
        """SIGKILL for its QEMU."""
        super().kill()
        self.paths.pid_file.unlink()

    def killed_in(self, when: str, index: int, *words: str | Path) -> bool:
        """Run a command that is killed; false: it ended before that."""
        return kill_in(self.home, when, index, *words)


def run_tool(*argv: str | Path) -> str:
    """Run a program; it must not fail."""
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def tool() -> Callable[..., str]:
    """Run a program; it must not fail."""
    return run_tool


@pytest.fixture(scope="session")
def image() -> Callable[..., Path]:
    """Make a qcow2 image; ``qemu-img create`` options may follow its name."""

    def make(path: Path, *options: str | Path, size: str = "8M") -> Path:
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", *options, path]
        run_tool(*argv, *(() if "-b" in options else (size,)))
        return path

    return make


@pytest.fixture(scope="module")
def home() -> Iterator[QemuHome]:
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        home = QemuHome(Path(directory))
        yield home
        home.close()


@pytest.fixture
def machine(home: QemuHome) -> Iterator[Callable[..., DiskVM]]:
    """Make a VM: ``machine(*options)``; it ends with the test."""
    made: list[DiskVM] = []

    def make(*options: str | Path, start: bool = False) -> DiskVM:
        vm = DiskVM(home, f"m{len(made)}")
        vm.ok("create", *SMALL, *options)
        made.append(vm)
        if start:
            vm.ok("start")
        return vm

    yield make
    for vm in reversed(made):
        home("kill", vm.name)
        home("delete", vm.name, "--yes")


@pytest.fixture
def base(image: Callable[..., Path], tmp_path: Path) -> Path:
    """An image of the user's, outside of all VMs."""
    return image(tmp_path / "base.qcow2")
