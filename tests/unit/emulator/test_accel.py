"""The decision, and how long it lasts."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from qemu_cli.emulator import accel
from qemu_cli.emulator.abilities import BinaryFacts
from qemu_cli.emulator.accel import Accel
from qemu_cli.paths import Paths

from .conftest import Program


def facts(*accelerators: str, arch: str = "x86_64") -> BinaryFacts:
    return BinaryFacts(
        version=(7, 2, 22),
        package="",
        arch=arch,
        machines={},
        aliases={},
        accelerators=frozenset(accelerators),
        cpu_models=frozenset(),
        options=frozenset(),
    )


BOTH = facts("kvm", "tcg")


class Host:
    """A QEMU whose KVM is good or bad, and that counts its runs."""

    def __init__(self, tmp_path: Path, paths: Paths, program: Program):
        self.runs = tmp_path / "runs"
        self.device = tmp_path / "kvm"
        self.device.touch()
        self.paths = paths
        self._program = program
        self.good()

    def good(self) -> None:
        self._become("exit 33")

    def bad(self) -> None:
        self._become("exit 1")

    def _become(self, kvm: str) -> None:
        self.binary = self._program(
            "qemu",
            f"echo run >> {self.runs}\n"
            f'case "$*" in *"accel kvm"*) {kvm};; esac\n'
            "sleep 0.3; exit 33",
        )

    def count(self) -> int:
        return len(self.runs.read_text().split()) if self.runs.exists() else 0

    def decide(self) -> Accel:
        return asyncio.run(
            accel.decide(self.binary, BOTH, self.paths, device=self.device)
        )

    def age(self, **changes: object) -> None:
        """Change what the cache says."""
        cache = self.paths.accelerator_cache
        (verdict,) = json.loads(cache.read_text())
        cache.write_text(json.dumps([{**verdict, **changes}]))


@pytest.fixture
def host(tmp_path: Path, paths: Paths, program: Program) -> Host:
    return Host(tmp_path, paths, program)


def test_good_kvm(host: Host) -> None:
    assert host.decide() == ("kvm", "KVM passed the self-test", None)


def test_yes_is_remembered(host: Host) -> None:
    host.decide()
    ran = host.count()
    host.age(at_s=0)
    assert host.decide().name == "kvm"
    assert host.count() == ran


def test_no_is_remembered_for_ten_minutes(host: Host) -> None:
    host.bad()
    decision = host.decide()
    assert decision.name == "tcg"
    assert "does not really work" in decision.reason
    assert decision.hint is not None
    ran = host.count()
    assert ran == 4
    assert host.decide() == decision
    assert host.count() == ran
    host.age(at_s=time.time() - 601)
    host.decide()
    assert host.count() == 2 * ran


def test_clock_set_back_does_not_keep_a_no(host: Host) -> None:
    host.bad()
    host.decide()
    ran = host.count()
    host.age(at_s=time.time() + 1e6)
    host.decide()
    assert host.count() == 2 * ran


def test_new_boot_new_test(host: Host) -> None:
    host.decide()
    ran = host.count()
    host.age(boot_id="another")
    host.decide()
    assert host.count() == 2 * ran


def test_new_binary_new_test(host: Host) -> None:
    host.decide()
    host.bad()
    assert host.decide().name == "tcg"


@pytest.mark.parametrize("text", ["", "{", "[{}]", "7", "\0"])
def test_broken_cache_is_ignored(host: Host, text: str) -> None:
    cache = host.paths.accelerator_cache
    cache.parent.mkdir(parents=True)
    cache.write_text(text)
    assert host.decide().name == "kvm"
    assert host.decide().name == "kvm"
    assert host.count() == 2


def test_cache_that_can_not_be_written_is_no_error(host: Host) -> None:
    host.paths.cache.parent.mkdir()
    host.paths.cache.touch()  # a file where the directory should be
    assert host.decide().name == "kvm"


def test_check_neither_reads_nor_writes_the_cache(host: Host) -> None:
    for _ in range(2):
        found = asyncio.run(
            accel.check_kvm(host.binary, BOTH, device=host.device)
        )
        assert found.name == "kvm"
    assert host.count() == 4
    assert not host.paths.accelerator_cache.exists()


def test_no_device(host: Host) -> None:
    host.device.unlink()
    name, reason, hint = host.decide()
    assert (name, host.count()) == ("tcg", 0)
    assert str(host.device) in reason
    assert "modprobe" in (hint or "")


def test_device_that_can_not_be_opened(host: Host) -> None:
    host.device.unlink()
    host.device.mkdir()
    name, reason, _ = host.decide()
    assert (name, host.count()) == ("tcg", 0)
    assert "Is a directory" in reason


_AS_NOBODY = """
import asyncio, os, sys
from pathlib import Path
from qemu_cli.emulator import accel
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(accel._open_problem(Path(sys.argv[1])))
"""


def test_permission_names_the_group() -> None:
    """In a process of its own: root may open everything."""
    with tempfile.NamedTemporaryFile() as device:
        os.fchmod(device.fileno(), 0)
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, device.name],
            capture_output=True,
            text=True,
            check=True,
        )
    assert "Permission denied" in done.stdout
    assert "usermod -aG kvm" in done.stdout


def test_foreign_architecture(host: Host) -> None:
    foreign = facts("tcg", arch="sparc")
    name, reason, hint = asyncio.run(
        accel.decide(host.binary, foreign, host.paths, device=host.device)
    )
    assert (name, hint, host.count()) == ("tcg", None, 0)
    assert "sparc" in reason


def test_not_compiled_in(host: Host) -> None:
    name, reason, hint = asyncio.run(
        accel.decide(host.binary, facts("tcg"), host.paths, device=host.device)
    )
    assert (name, host.count()) == ("tcg", 0)
    assert "built without KVM" in reason
    assert "qemu.path" in (hint or "")


def test_cpu_models() -> None:
    assert accel.cpu_model("kvm") == "host"
    assert accel.cpu_model("tcg") == "max"
