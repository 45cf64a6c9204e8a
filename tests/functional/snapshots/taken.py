"""What the tests of taking snapshots share."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.instance.snapshots import store
from qemu_cli.instance.snapshots.store import Snapshot
from tests.functional.snapshots.checks import check, tag_sizes

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

    Make = Callable[..., "Machine"]


TIMEOUT_S = 60.0


def tree(vm: "Machine") -> store.Tree:
    return store.load(vm.paths)


def only(vm: "Machine") -> Snapshot:
    (snapshot,) = tree(vm).snapshots
    return snapshot


def tags(vm: "Machine", disk: str = "disk0") -> dict[str, int]:
    """The internal snapshots of an active layer, and their RAM's sizes."""
    return tag_sizes(vm.images[disk])


def sound(vm: "Machine") -> None:
    """``qemu-img check`` has nothing to say of any image in there.

    QEMU is ended: it writes some of its tables only then.
    """
    if vm.state != "stopped":
        vm.ok("quit", vm.name)
    for file in vm.paths.directory.glob("*.qcow2"):
        check(file)


def read(image: Path, pattern: int) -> bool:
    """Whether an image begins with this, whoever has it open."""
    done = subprocess.run(
        ["qemu-io", "-r", "-U", "-c", f"read -P {pattern} 0 64k", image],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert "read 65536/65536" in done.stdout, done.stderr
    return "verification failed" not in done.stdout


def refused(vm: "Machine", *words: str) -> str:
    """Why no snapshot is taken; nothing must have been done."""
    files = vm.files
    before = tree(vm)
    result = vm.home("snapshot", "create", vm.name, *words)
    assert result.rc in (2, 3, 4, 6), result.err
    assert tree(vm) == before
    assert vm.files == files
    return result.err
