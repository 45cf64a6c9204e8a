"""What the tests of going back share."""

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine


#: Runs ``qemu``, and once a program of ours, just before a step is begun.
MEDDLED = """
import subprocess, sys
from qemu_cli.app import main
from qemu_cli.steps.runner import Journal

step, argv, noted = sys.argv[1], sys.argv[2:5], Journal.step

def begin(self, plan):
    self.plan = plan
    begun(self, plan)

def note(self, index):
    noted(self, index)
    if type(self.plan.steps[index]).__name__ == step and argv:
        subprocess.run(argv, check=True)
        argv.clear()

begun, Journal.begin, Journal.step = Journal.begin, begin, note
sys.exit(main(sys.argv[5:]))
"""


def meddled(
    vm: "Machine", step: str, script: str, *words: str
) -> "subprocess.CompletedProcess[str]":
    """Run ``qemu``; a shell script is run when a step is about to begin."""
    return subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            MEDDLED,
            step,
            "sh",
            "-c",
            script,
            *words,
        ],
        env=vm.home.environment,
        capture_output=True,
        text=True,
        timeout=180,
    )


def revert(vm: "Machine", *words: str) -> tuple[str, ...]:
    return ("snapshot", "revert", vm.name, *words, "--yes")


def files(vm: "Machine") -> dict[str, bytes]:
    """What a revert that is refused must not have touched."""
    found = [*vm.paths.directory.glob("*.qcow2"), vm.paths.definition]
    found += vm.paths.snapshots.glob("*")
    return {file.name: file.read_bytes() for file in found}
