"""The surroundings are bad: files damaged, disks read-only, no terminal."""

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome, Result

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")


def ok(result: Result) -> Result:
    assert result.rc == 0, result.err
    return result


@pytest.fixture
def vm(qemu_home: QemuHome) -> QemuHome:
    """A home with a VM called vm that has no guest, and another."""
    ok(qemu_home("create", "vm", "--disk", "8M", *SMALL))
    ok(qemu_home("create", "well", *SMALL))
    return qemu_home


DAMAGES = {
    "no TOML": ("", "what = [", "is not valid TOML"),
    "a wrong type": ("memory_mib = 64", 'memory_mib = "lots"', "memory_mib"),
    "an unknown key": ("memory_mib = 64", "memry_mib = 64", "memory_mib'?"),
    "a key is missing": ("memory_mib = 64", "", "memory_mib' is missing"),
    "a newer format": ("format = 1", "format = 99", "newer version"),
    "no text": ("", "\udcff\udcfe", "can't be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_definition(vm: QemuHome, damage: str) -> None:
    path = vm.paths.instance("vm").definition
    good = path.read_text()
    old, new, why = DAMAGES[damage]
    text = good.replace(old, new, 1) if old else good + new
    path.write_bytes(text.encode(errors="surrogateescape"))
    listed = ok(vm("list", "-f", "json")).json
    broken, well = sorted(listed, key=lambda row: row["name"])
    assert (broken["state"], well["state"]) == ("broken", "stopped")
    assert str(path) in broken["reason"]
    for words in (("start", "vm"), ("set", "vm", "cpus=2")):
        failed = vm(*words)
        assert failed.rc == 1, failed.err
        assert why in failed.err
        assert "internal error" not in failed.err
    assert vm("show", "vm").rc in (0, 1)
    assert vm("log", "vm").rc == 0
    # A VM that is well does not mind.
    ok(vm("start", "well", "--paused"))
    ok(vm("quit", "well"))
    ok(vm("clone", "well", "two"))
    ok(vm("rename", "well", "better"))
    ok(vm("delete", "vm", "--yes"))
    assert not path.parent.exists()


def test_a_definition_that_is_gone(vm: QemuHome) -> None:
    vm.paths.instance("vm").definition.unlink()
    assert ok(vm("list", "vm", "-f", "json")).json[0]["state"] == "broken"
    for words in (
        *(("start", "vm"), ("set", "vm", "cpus=2"), ("edit", "vm")),
        ("clone", "vm", "two"),
    ):
        failed = vm(*words)
        assert failed.rc in (1, 4)
        assert "instance.toml is missing" in failed.err
    ok(vm("delete", "vm", "--yes"))


def test_a_damaged_journal(vm: QemuHome) -> None:
    journal = vm.paths.instance("vm").journal
    journal.parent.mkdir(exist_ok=True)
    journal.write_text("{not a plan\n")
    failed = vm("start", "vm")
    assert failed.rc == 1
    assert str(journal) in failed.err
    ok(vm("list"))
    ok(vm("start", "well", "--paused"))
    ok(vm("quit", "well"))


def read_only(directory: Path) -> None:
    """Mount it on itself, read-only: root minds no permission bits."""
    subprocess.run(["mount", "--bind", directory, directory], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)


def test_a_home_that_is_read_only(vm: QemuHome) -> None:
    read_only(vm.directory)
    try:
        assert ok(vm("list", "-q")).out == "vm\nwell\n"
        ok(vm("list"))
        ok(vm("show", "vm"))
        for words in (
            *(("create", "new", *SMALL), ("start", "vm")),
            *(("set", "vm", "cpus=2"), ("edit", "vm")),
            *(("clone", "vm", "two"), ("rename", "vm", "two")),
            ("delete", "vm", "--yes"),
        ):
            failed = vm(*words, environment={"EDITOR": "false"})
            assert failed.rc == 1, (words, failed.err)
            assert "Read-only file system" in failed.err
            assert "internal error" not in failed.err
    finally:
        subprocess.run(["umount", vm.directory], check=True)
    ok(vm("start", "vm", "--paused"))
    ok(vm("quit", "vm"))


def test_a_cache_that_can_not_be_written(vm: QemuHome) -> None:
    cache = vm.paths.cache
    subprocess.run(["rm", "-rf", cache], check=True)
    cache.write_text("in the way\n")
    ok(vm("list"))
    ok(vm("create", "new", *SMALL))
    ok(vm("start", "new", "--paused"))
    ok(vm("list"))
    ok(vm("quit", "new"))


def test_a_plain_locale(vm: QemuHome) -> None:
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"}
    plain["PYTHONCOERCECLOCALE"] = "0"
    ok(vm("set", "vm", "append=", environment=plain))
    failed = vm("create", "größe", *SMALL, environment=plain)
    assert failed.rc == 2
    assert "Traceback" not in failed.err
    ok(vm("show", "vm", environment=plain))
    ok(vm("set", "vm", "cpus=2", environment=plain))
    assert "vm" in ok(vm("list", environment=plain)).out


def test_nobody_to_ask(vm: QemuHome) -> None:
    refused = vm("delete", "vm")
    assert refused.rc == 2
    assert "--yes" in refused.err
    assert vm.paths.instance("vm").definition.exists()


@pytest.mark.parametrize(("answer", "gone"), [("n", False), ("y", True)])
def test_somebody_to_ask(vm: QemuHome, answer: str, gone: bool) -> None:
    said, code = on_terminal(vm, f"{answer}\n", "delete", "vm")
    assert "[y/N]" in said
    assert code == (0 if gone else 1)
    assert vm.paths.instance("vm").directory.exists() != gone


def test_editing_again_on_a_terminal(vm: QemuHome) -> None:
    path = vm.paths.instance("vm").definition
    vm.environment["VISUAL"] = "sed -i s/_mib.=.64/_mib=x/"
    said, code = on_terminal(vm, "n\n", "edit", "vm")
    assert "edit again? [y/N]" in said
    assert code == 1
    assert "_mib = 64" in path.read_text()
    assert "_mib=x" in vm.paths.instance("vm").draft.read_text()
    vm.environment["VISUAL"] = "sed -i s/_mib=x/_mib=65/"
    said, code = on_terminal(vm, "", "edit", "vm")
    assert code == 0
    assert "64 → 65" in said


def on_terminal(home: QemuHome, typed: str, *words: str) -> tuple[str, int]:
    """Run ``qemu`` on a terminal and type something."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [home.executable, *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=home.environment,
        start_new_session=True,
    )
    os.close(slave)
    os.write(master, typed.encode())
    said = b""
    end = time.monotonic() + 60
    try:
        while time.monotonic() < end:
            if select.select([master], [], [], 0.1)[0]:
                try:
                    said += os.read(master, 4096)
                except OSError:  # EIO: the other end is closed
                    break
            elif process.poll() is not None:
                break
        return said.decode(), process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_a_reader_that_goes_away(vm: QemuHome) -> None:
    for words in ("list", "show vm -f json", "create --help", "config list"):
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; '{vm.executable}' {words} | :"],
            env=vm.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode in (0, 141), done.stderr
        assert done.stderr == ""


def test_no_standard_streams(vm: QemuHome) -> None:
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = subprocess.run(
            ["bash", "-c", f"'{vm.executable}' set vm cpus=2 {closed}"],
            env=vm.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
