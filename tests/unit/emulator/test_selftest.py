"""The race of TCG and KVM, with shell scripts that play QEMU."""

import asyncio
import time
from pathlib import Path

import pytest

from qemu_cli.emulator import selftest

from .conftest import Program

GOOD = "exit 33"
QUICK_KVM = 'case "$*" in *"accel tcg"*) sleep 0.3;; esac; exit 33'
HANGING_KVM = 'case "$*" in *"accel kvm"*) exec sleep 600;; esac; exit 33'
DYING_KVM = 'case "$*" in *"accel kvm"*) echo "no MSR" >&2; exit 1;; esac'


def problem(binary: Path) -> str | None:
    return asyncio.run(selftest.kvm_problem(binary, "x86_64"))


def test_quick_kvm_is_good(program: Program) -> None:
    assert problem(program("qemu", QUICK_KVM)) is None


def test_hanging_kvm_is_a_problem_and_killed(program: Program) -> None:
    found = problem(program("qemu", HANGING_KVM))
    assert found is not None
    assert "KVM does not run 512 bytes" in found
    assert "TCG needs" in found


def test_dying_kvm_is_a_problem_in_its_own_words(program: Program) -> None:
    found = problem(program("qemu", f"{DYING_KVM}; exit 33"))
    assert found is not None
    assert "no MSR" in found


def test_wrong_exit_code_is_a_problem(program: Program) -> None:
    found = problem(program("qemu", "exit 0"))
    assert found == "QEMU fails with KVM: exit code 0"


def test_slow_once_is_forgiven(program: Program, tmp_path: Path) -> None:
    mark = tmp_path / "was-slow"
    body = (
        'case "$*" in *"accel tcg"*) sleep 0.3; exit 33;; esac\n'
        f"[ -e {mark} ] && exit 33; : > {mark}; exec sleep 600"
    )
    assert problem(program("qemu", body)) is None
    assert mark.exists()


def test_binary_that_is_gone(tmp_path: Path) -> None:
    found = problem(tmp_path / "gone")
    assert found is not None
    assert "can't be run" in found


def test_another_architecture_only_initialises(program: Program) -> None:
    refuses = program("qemu", "echo no KVM here >&2; exit 1")
    found = asyncio.run(selftest.kvm_problem(refuses, "aarch64"))
    assert found is not None
    assert "no KVM here" in found


def test_run_ends_in_time(program: Program) -> None:
    start_s = time.monotonic()
    found = asyncio.run(
        selftest.run(program("qemu", "exec sleep 600"), "kvm", limit_s=0.2)
    )
    assert found.seconds is None
    assert time.monotonic() - start_s < 30


@pytest.mark.parametrize("line", ["", "nonsense", "[]", "7"])
def test_something_that_is_no_qemu(program: Program, line: str) -> None:
    script = program("qemu", f"read command; echo '{line}'")
    found = asyncio.run(selftest.kvm_problem(script, "aarch64"))
    assert found is not None
