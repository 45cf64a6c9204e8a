"""A VM whose devices are changed; most need no guest."""

import secrets
import socket
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.testing.home import QemuHome, Result
from qemu_cli.testing.plugin import TinyGuest
from tests.functional.bare import BareVM
from tests.functional.killing import kill_in
from tests.functional.until import until

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")
BOOT_TIMEOUT_S = 120.0
TIMEOUT_S = 30.0


class PlugVM(BareVM):
    """A VM, running or stopped."""

    def run(self, words: str, *more: str | Path) -> Result:
        """Run ``qemu device add VM …`` and the like: the VM is put in."""
        command = words.split()
        return self.home(*command, self.name, *more)

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

    def state(self) -> tuple[str, list[str]]:
        """All that a command that fails must leave as it was."""
        return self.paths.definition.read_text(), self.plugged()

    @property
    def definition(self) -> dict[str, Any]:
        return tomllib.loads(self.paths.definition.read_text())

    @property
    def running(self) -> bool:
        return self.paths.pid_file.exists()

    def plugged(self) -> list[str]:
        """The ids of what QEMU has, back-ends included."""
        if not self.running:
            return []
        return sorted(
            each["name"]
            for path in ("/machine/peripheral", "/objects")
            for each in self.qmp("qom-list", path=path)
        )

    def listed(self, *options: str) -> dict[str, dict[str, Any]]:
        """What ``device list`` says, by id."""
        rows = self.ok("device list", "-f", "json", *options).json
        return {row["id"]: row for row in rows}

    def get(self, id: str, key: str) -> Any:
        """A property of a device, as QEMU has it."""
        path = f"/machine/peripheral/{id}"
        return self.qmp("qom-get", path=path, property=key)

    def restart(self) -> None:
        self.ok("quit")
        self.ok("start")

    def kill(self) -> None:
        """SIGKILL for its QEMU."""
        super().kill()
        self.paths.pid_file.unlink()

    def killed_in(self, when: str, index: int, *words: str | Path) -> bool:
        """Run a command that is killed; false: it ended before that."""
        return kill_in(self.home, when, index, *words)

    def wait_for_text(self, text: str) -> None:
        """Wait until the guest has written it to its serial port."""
        self.until(
            lambda: text in self.paths.serial_log.read_text(errors="replace"),
            text,
            BOOT_TIMEOUT_S,
        )

    def until(
        self,
        what: Callable[[], bool],
        words: str,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Wait until it is so."""
        until(what, f"not in time: {words}", timeout_s)

    def ask(self, command: str) -> str:
        """Have the guest's shell run a command; what it printed."""
        mark = secrets.token_hex(4)
        begin, end = f"B{mark}\r\n".encode(), f"E{mark}".encode()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(str(self.paths.serial_socket))
            # Its echo must not look like the marks.
            client.sendall(
                f"\necho B''{mark}; {command}; echo E''{mark}\n".encode()
            )
            said = b""
            while end not in said:
                said += client.recv(4096)
        text = said.partition(begin)[2].partition(end)[0]
        return text.decode(errors="replace").replace("\r", "")


@pytest.fixture(scope="module")
def home() -> Iterator[QemuHome]:
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        home = QemuHome(Path(directory))
        yield home
        home.close()


@pytest.fixture
def machine(home: QemuHome) -> Iterator[Callable[..., PlugVM]]:
    """Make a VM: ``machine(*options)``; it ends with the test."""
    made: list[PlugVM] = []

    def make(
        *options: str | Path,
        start: bool = False,
        base: tuple[str, ...] = SMALL,
    ) -> PlugVM:
        vm = PlugVM(home, f"m{len(made)}")
        vm.ok("create", *base, *options)
        made.append(vm)
        if start:
            vm.ok("start")
        return vm

    yield make
    for vm in reversed(made):
        home("kill", vm.name)
        home("delete", vm.name, "--yes")


@pytest.fixture
def guest(
    machine: Callable[..., PlugVM], tiny_guest: TinyGuest
) -> Callable[..., PlugVM]:
    """The same, with the tiny guest, which has booted."""

    def boot(*options: str) -> PlugVM:
        vm = machine(
            *("--kernel", tiny_guest.kernel, "--initrd", tiny_guest.initrd),
            *("--append", "console=ttyS0 quiet", *options),
            base=("--memory", "256M", "--accel", "tcg", "--nic", "none"),
            start=True,
        )
        vm.wait_for_text("GUEST-READY")
        return vm

    return boot
