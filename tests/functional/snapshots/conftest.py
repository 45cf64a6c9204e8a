"""A VM without a guest; what one would write, qemu-io(1) writes."""

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.instance import definitions
from qemu_cli.proc import ProcFS, send_signal, wait_exit
from qemu_cli.testing.home import QemuHome, Result

TIMEOUT_S = 60.0
SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")


class Machine:
    """A VM, running or stopped."""

    def __init__(self, home: QemuHome, name: str) -> None:
        self.home = home
        self.name = name
        self.paths = home.paths.instance(name)

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

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Tell QEMU something, on a monitor that nobody needs."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(str(self.paths.follower_sockets[1]))
            stream = client.makefile("rw")
            for name, values in (
                ("qmp_capabilities", {}),
                (command, arguments),
            ):
                message = {"execute": name, "arguments": values, "id": name}
                stream.write(json.dumps(message) + "\n")
            stream.flush()
            for line in stream:
                reply = json.loads(line)
                if reply.get("id") == command:
                    assert "error" not in reply, reply
                    return reply["return"]
        raise AssertionError("QEMU has ended")

    def io(self, command: str, disk: str = "disk0") -> str:
        """Read or write as the guest does; what qemu-io says."""
        if not self.alive:
            done = subprocess.run(
                ["qemu-io", "-f", "qcow2", "-c", command, self.images[disk]],
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
            assert not done.stderr, done.stderr
            return done.stdout
        said = self.paths.qemu_log.stat().st_size
        for block in self.qmp("query-block"):
            qdev = block.get("qdev", "")
            if disk in qdev.split("/"):
                line = f'qemu-io -d {qdev} "{command}"'
                self.qmp("human-monitor-command", **{"command-line": line})
                with self.paths.qemu_log.open() as stream:
                    stream.seek(said)
                    return stream.read()
        raise AssertionError(f"there is no {disk}")

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

    def kill(self) -> None:
        """SIGKILL for its QEMU."""
        procfs = ProcFS()
        pid = int(self.paths.pid_file.read_text())
        process = procfs.process(pid)
        assert process is not None
        pidfd = procfs.open_pidfd(process)
        try:
            send_signal(pidfd, signal.SIGKILL)
            wait_exit(pidfd, TIMEOUT_S)
        finally:
            os.close(pidfd)


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
