"""What real QEMU binaries say, and the boot sector on a real one."""

import asyncio
import os
import platform
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from qemu_cli.config import Config
from qemu_cli.emulator import abilities, accel, binary, firmware, selftest
from qemu_cli.emulator.abilities import BinaryFacts
from qemu_cli.emulator.bare_qemu import bare_qemu
from qemu_cli.errors import TimedOutError, ToolError
from qemu_cli.paths import Paths

#: What Debian builds KVM into, by the host's architecture.
_KVM_GUESTS = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64",)}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The settings of this test run, and no others."""
    nowhere = tmp_path / "no-config.toml"
    return Config(user=nowhere, system=nowhere, environ=os.environ)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Directories of this test's own."""
    return Paths(
        data=tmp_path, state=tmp_path, cache=tmp_path / "c", config=tmp_path
    )


@pytest.fixture
def qemu(config: Config) -> Path:
    """The emulator for x86_64."""
    return binary.find("x86_64", config)


def ask(qemu: Path, paths: Paths) -> BinaryFacts:
    return asyncio.run(abilities.load(qemu, paths))


def test_facts(qemu: Path, paths: Paths) -> None:
    found = ask(qemu, paths)
    said = subprocess.run(
        [qemu, "-version"], capture_output=True, text=True, check=True
    ).stdout
    assert "version {}.{}.{}".format(*found.version) in said
    assert found.package in said
    assert found.arch == "x86_64"
    machine = found.machine("q35")
    assert machine.name.startswith("pc-q35-")
    assert machine.cpus_max >= 255
    assert machine.hotpluggable_cpus
    assert not found.machine("microvm").hotpluggable_cpus
    assert found.accelerators == {"kvm", "tcg"}
    assert {"max", "qemu64"} <= found.cpu_models
    assert "sandbox" in found.options
    assert ("run-with" in found.options) == (found.version >= (9, 0, 0))


def test_facts_of_every_emulator(config: Config, paths: Paths) -> None:
    emulators = binary.available(config)
    assert "x86_64" in emulators
    for arch, path in emulators.items():
        found = ask(path, paths)
        assert found.arch == arch
        assert "none" in found.machines
        assert "tcg" in found.accelerators
        assert ("kvm" in found.accelerators) == (
            arch in _KVM_GUESTS.get(platform.machine(), ())
        )


def test_facts_are_cached(qemu: Path, paths: Paths) -> None:
    found = ask(qemu, paths)
    (cache,) = (paths.cache / "binaries").iterdir()
    mark = msgspec.structs.replace(found, package="from the cache")
    content = msgspec.json.decode(cache.read_bytes())
    content["facts"] = mark
    cache.write_bytes(msgspec.json.encode(content))
    assert ask(qemu, paths).package == "from the cache"
    content["identity"][1] += 1
    cache.write_bytes(msgspec.json.encode(content))
    assert ask(qemu, paths) == found


@pytest.mark.parametrize("text", ["", "{", '{"identity": 1}', "\0"])
def test_broken_cache_is_ignored(qemu: Path, paths: Paths, text: str) -> None:
    found = ask(qemu, paths)
    (cache,) = (paths.cache / "binaries").iterdir()
    cache.write_text(text)
    assert ask(qemu, paths) == found
    assert cache.read_text() != text


def test_cache_that_can_not_be_written(qemu: Path, paths: Paths) -> None:
    paths.cache.touch()  # a file where the directory should be
    assert ask(qemu, paths).arch == "x86_64"


def test_binary_that_does_not_run(tmp_path: Path, paths: Paths) -> None:
    for name, body, words in (
        ("dies", "#!/bin/sh\necho bad library >&2; exit 127\n", "bad library"),
        ("text", "no program\n", "can't be run"),
    ):
        path = tmp_path / name
        path.write_text(body)
        path.chmod(0o755)
        with pytest.raises(ToolError, match=words):
            ask(path, paths)


def test_bare_qemu_that_is_silent_is_given_up(tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)

    async def wait() -> None:
        async with bare_qemu(silent, timeout_s=0.5):
            pass

    start_s = time.monotonic()
    with pytest.raises(TimedOutError, match="did not answer"):
        asyncio.run(wait())
    assert time.monotonic() - start_s < 60


def test_bare_qemu_ends_with_the_block(qemu: Path) -> None:
    async def pid() -> int:
        async with bare_qemu(qemu, "-name", "bare") as bare:
            assert await bare.execute("query-name") == {"name": "bare"}
            children = Path(f"/proc/self/task/{os.getpid()}/children")
            return int(children.read_text().split()[-1])

    assert not Path(f"/proc/{asyncio.run(pid())}").exists()


def test_boot_sector_ends_qemu_under_tcg(qemu: Path) -> None:
    run = asyncio.run(selftest.run(qemu, "tcg", limit_s=120))
    assert run.problem == ""
    assert run.seconds is not None
    assert 0 < run.seconds < 120


def test_boot_sector_needs_long_mode(qemu: Path) -> None:
    """A CPU without it never gets to the end: the sector does enter it."""
    run = asyncio.run(selftest.run(qemu, "tcg", limit_s=3, cpu="qemu32"))
    assert run.seconds is None


def test_decision_holds(qemu: Path, paths: Paths) -> None:
    """Whatever it is on this host, it is made in time and kept."""
    facts = ask(qemu, paths)
    start_s = time.monotonic()
    decision = asyncio.run(accel.decide(qemu, facts, paths))
    assert time.monotonic() - start_s < 90
    assert decision.name in facts.accelerators
    assert decision.reason
    assert asyncio.run(accel.decide(qemu, facts, paths)) == decision


def test_kvm_runs_no_foreign_guests(config: Config, paths: Paths) -> None:
    foreign = {"x86_64": "aarch64"}.get(platform.machine(), "x86_64")
    path = binary.find(foreign, config)
    decision = asyncio.run(accel.decide(path, ask(path, paths), paths))
    assert decision.name == "tcg"
    assert foreign in decision.reason


@pytest.mark.parametrize("secure_boot", [False, True])
@pytest.mark.parametrize(
    ("arch", "machine"), [("x86_64", "q35"), ("aarch64", "virt")]
)
def test_firmware_of_this_host(
    config: Config,
    paths: Paths,
    arch: str,
    machine: str,
    secure_boot: bool,
) -> None:
    facts = ask(binary.find(arch, config), paths)
    found = firmware.find(
        arch, facts.machine(machine).name, secure_boot=secure_boot
    )
    assert found.code.stat().st_size > 1 << 20
    assert found.vars_template.is_file()
    assert ("secure-boot" in found.features) == secure_boot
    assert found.needs_smm == (secure_boot and arch == "x86_64")
