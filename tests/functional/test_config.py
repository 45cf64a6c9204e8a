"""Settings in their scopes, as running VMs meet them."""

import fcntl
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome, Result


@pytest.fixture(scope="module")
def home() -> Iterator[QemuHome]:
    """A VM without a guest, ``vm``, and ``other``, which has no settings."""
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        home = QemuHome(Path(directory) / "h")
        for name in ("vm", "other"):
            ok(home("create", name, "--memory", "64M", "--accel", "tcg",
                    "--nic", "none"))  # fmt: skip
        yield home
        home.close()


@pytest.fixture(autouse=True)
def nothing_runs(home: QemuHome) -> Iterator[None]:
    yield
    if alive := home("list", "-q", "--state", "running").out.split():
        ok(home("kill", *alive))


def ok(result: Result) -> Result:
    assert result.rc == 0, result.err
    return result


def test_the_time_that_a_guest_has(home: QemuHome) -> None:
    ok(home("set", "vm", "config.shutdown.timeout=1s"))
    ok(home("-c", "shutdown.timeout=2s", "start", "vm", "other"))
    for settings, name, limit in (
        ((), "vm", "1 s"),
        (("-c", "shutdown.timeout=1500ms"), "vm", "1.5 s"),
        (("-c", "shutdown.timeout=2s"), "other", "2 s"),
    ):
        late = home(*settings, "shutdown", name)
        assert late.rc == 7
        assert f"did not shut down in {limit};" in late.err
    late = home("shutdown", "other", "--timeout", "0")
    assert late.rc == 7
    assert "in 0 s; it still runs" in late.err
    dry = ok(home("autostart", "enable", "vm", "--user", "--dry-run"))
    assert "TimeoutStopSec=" in dry.out
    ok(home("set", "vm", "config.shutdown.timeout=77s"))
    longer = ok(home("autostart", "enable", "vm", "--user", "--dry-run"))
    assert longer.out != dry.out


def test_the_time_that_another_command_has(home: QemuHome) -> None:
    ok(home("set", "vm", "config.lock.timeout=100ms"))
    ok(home("start", "vm"))
    with home.paths.instance("vm").lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        assert home("pause", "vm").rc == 6
        # Without the setting, it waits for 10 s.
        assert time.monotonic() - began < 8


def test_the_time_that_qemu_has(home: QemuHome) -> None:
    ok(home("set", "vm", "config.start.timeout=1s"))
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        silent = Path(directory, "qemu-system-x86_64")
        silent.write_text("#!/bin/sh\nexec sleep 600\n")
        silent.chmod(0o755)
        late = home("-c", f"qemu.binary.x86_64={silent}", "start", "vm")
    assert late.rc == 7
    assert "did not answer in 1 s" in late.err


def test_the_size_of_the_serial_log(home: QemuHome) -> None:
    log = home.paths.instance("vm").serial_log
    log.write_bytes(bytes(2 << 20))
    ok(home("start", "vm"))
    assert log.stat().st_size == 2 << 20
    ok(home("set", "vm", "config.log.serial-max=1M"))
    ok(home("log", "vm", "--serial", "-n", "1"))
    assert log.stat().st_size == 0
    assert log.with_name("serial.log.1").stat().st_size == 2 << 20


def test_where_a_value_comes_from(home: QemuHome) -> None:
    ok(home("set", "vm", "config.lock.timeout=3s"))

    def seen(*settings: str, environment: str = "") -> tuple[str, str, str]:
        variables = {"QEMU_CLI_CONFIG_LOCK_TIMEOUT": environment}
        listed = home(
            *(*settings, "config", "list", "--instance", "vm", "-f", "json"),
            environment=variables if environment else {},
        )
        (row,) = [r for r in ok(listed).json if r["key"] == "lock.timeout"]
        return row["value"], row["scope"], row["origin"]

    definition = str(home.paths.instance("vm").definition)
    assert seen() == ("3s", "instance", definition)
    assert seen(environment="4s")[:2] == ("4s", "environment")
    assert seen("-c", "lock.timeout=5s", environment="4s") == (
        *("5s", "command", "-c"),
    )
    words = ("config", "get", "lock.timeout")
    assert ok(home(*words, "--instance", "vm")).out == "3s\n"
    assert ok(home(*words)).out == "10s\n"
    assert home(*words, "--instance", "nobody").rc == 3


#: The program, but that the host's file is another: nothing in /etc is
#: touched, and a mount namespace can't be had in every chroot.
ELSEWHERE = """
import sys
from pathlib import Path
from qemu_cli.paths import Paths
Paths.__init__.__kwdefaults__["system_config"] = Path(sys.argv.pop(1))
from qemu_cli.app import main
sys.exit(main())
"""


def test_the_file_of_the_host(home: QemuHome, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('memory = "3G"\n')
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            ELSEWHERE,
            file,
            "config",
            "list",
            "-f",
            "json",
        ],
        env=home.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    rows = {row["key"]: row for row in json.loads(done.stdout)}
    assert rows["memory"]["value"] == "3G"
    assert rows["memory"]["scope"] == "system"
    assert rows["memory"]["origin"] == str(file)


@pytest.mark.parametrize(
    "key", ["memory=2G", "core.editor=vi", "lock.timeot=1s"]
)
def test_what_an_instance_may_not_have(home: QemuHome, key: str) -> None:
    assert home("set", "other", f"config.{key}").rc == 2
    definition = home.paths.instance("other").definition
    text = definition.read_text()
    name, _, value = key.partition("=")
    definition.write_text(f'{text}\n[config]\n"{name}" = "{value}"\n')
    try:
        refused = home("start", "other")
        assert refused.rc == 2
        assert name in refused.err
        shown = ok(home("show", "other", "-f", "json")).json
        assert name in shown["problems"][0]
    finally:
        definition.write_text(text)


def test_settings_that_make_no_sense_keep_nobody_from_ending_it(
    home: QemuHome,
) -> None:
    ok(home("start", "other"))
    definition = home.paths.instance("other").definition
    text = definition.read_text()
    definition.write_text(text + '\n[config]\nlock.timeout = "soon"\n')
    try:
        ok(home("quit", "other"))
    finally:
        definition.write_text(text)
