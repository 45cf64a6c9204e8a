"""Programs of the user's own as commands: the examples of the how-to."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome, Result
from tests.functional.by_hand import Foreign

EXAMPLES = Path(__file__).parents[2] / "doc/examples"


@pytest.fixture
def vm(qemu_home: QemuHome) -> Iterator[QemuHome]:
    """``web``, which runs, and ``off``, which does not."""
    for name in ("web", "off"):
        made = qemu_home("create", name, "--memory", "64M", "--accel", "tcg")
        assert made.rc == 0, made.err
    assert qemu_home("start", "web").rc == 0
    yield qemu_home
    qemu_home("kill", "web")


def run(home: QemuHome, *words: str, path: Path = EXAMPLES) -> Result:
    """Run the program with programs of ours on PATH."""
    variable = f"{path}:{os.environ['PATH']}"
    return home(*words, environment={"PATH": variable})


def test_the_shell_example(vm: QemuHome) -> None:
    done = run(vm, "age", "web")
    assert re.fullmatch(r"web: running, (\d+:)?\d\d:\d\d\n", done.out), done
    (row,) = vm("list", "web", "-f", "json").json
    by_pid = run(vm, "age", f"pid:{row['pid']}")
    assert by_pid.out.startswith("web: running, ")
    assert run(vm, "age", "off").rc == 4
    for nothing in ((), ("nobody",), ("--help",)):
        assert run(vm, "age", *nothing).rc == 2


def test_the_python_example(vm: QemuHome, foreign: Foreign) -> None:
    done = run(vm, "pci", "web")
    assert re.search(r"^00\.0 Host bridge$", done.out, re.MULTILINE), done
    assert re.search(r"^\S+ rp\d$", done.out, re.MULTILINE), done.out
    # It does not hold up our own commands, nor is it in their way.
    assert vm("pause", "web").rc == 0
    assert run(vm, "pci", "web").out == done.out
    pid = foreign.start("-machine", "q35", "-qmp", "unix:q,server,nowait")
    assert "Host bridge" in run(vm, "pci", f"pid:{pid}").out
    refused = run(vm, "pci", "off")
    assert (refused.rc, refused.out) == (1, "")


def test_what_a_program_is_told(vm: QemuHome, tmp_path: Path) -> None:
    script = tmp_path / "qemu-tell"
    script.write_text(
        "#!/bin/sh\n"
        'env | grep ^QEMU_CLI_; "$QEMU_CLI_EXECUTABLE" config get memory\n'
        '[ $# = 2 ] && [ "$1" = web ] && exec qemu tell off\n'
    )
    script.chmod(0o755)
    settings = ("-c", "memory=3G", "-c", "alias.t=tell web")
    told = run(vm, *settings, "t", "x", path=tmp_path).out
    once, again = (
        dict(line.split("=", 1) for line in part.splitlines() if "=" in line)
        for part in told.split("3G\n")[:2]
    )
    assert once["QEMU_CLI_VM"] == "web"
    (row,) = vm("list", "web", "-f", "json").json
    assert once["QEMU_CLI_VM_PID"] == str(row["pid"])
    assert Path(once["QEMU_CLI_QMP"]).is_socket()
    assert json.loads(once["QEMU_CLI_OVERRIDES"]) == [
        "memory=3G",
        "alias.t=tell web",
    ]
    assert json.loads(once["QEMU_CLI_SETTINGS"])["memory"] == "3G"
    # What it calls knows the settings, and nothing of another VM.
    assert again["QEMU_CLI_VM"] == "off"
    assert "QEMU_CLI_VM_PID" not in again
    assert "QEMU_CLI_QMP" not in again
