"""What the tests of snapshots share: what has to be, and who is killed."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.instance.snapshots import store

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

KILLED = Path(__file__).parents[1] / "killed.py"
TIMEOUT_S = 180.0


def tags(image: Path) -> set[str]:
    said = subprocess.check_output(
        ["qemu-img", "info", "-U", "--output=json", image], timeout=TIMEOUT_S
    )
    return {each["name"] for each in json.loads(said).get("snapshots", [])}


def check(file: Path) -> None:
    """``qemu-img check`` has nothing to say of an image."""
    done = subprocess.run(
        ["qemu-img", "check", "-f", "qcow2", file],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def consistent(vm: "Machine") -> None:
    """What is in the tree is there, and nothing else is."""
    tree = store.load(vm.paths)
    named = {layer.file for layer in tree.layers}
    named |= {image.name for image in vm.images.values()}
    assert vm.files == named
    keys = {each.key for each in tree.snapshots}
    external = {e.key for e in tree.snapshots if e.kind == "external"}
    with_ram = {e.key for e in tree.snapshots if e.memory} & external
    kept = {file.name for file in vm.paths.snapshots.glob("*")}
    assert kept - {"tree.json"} == {f"{key}.toml" for key in keys} | {
        f"{key}.ram" for key in with_ram
    }
    for file in vm.files:
        path = vm.paths.directory / file
        assert tags(path) == {
            snapshot.key
            for snapshot in tree.snapshots
            if snapshot.kind == "internal"
            and file in {layer.file for layer in snapshot.layers}
        }
    if not vm.alive:
        for file in vm.files:
            check(vm.paths.directory / file)
    else:
        assert vm.qmp("query-jobs") == []
        nodes = vm.qmp("query-named-block-nodes", flat=True)
        named = {node["node-name"] for node in nodes}
        assert not {name for name in named if name.startswith("s")}


def kill_in(vm: "Machine", when: str, index: int, *words: str) -> bool:
    """Run a command that is killed; false: it ended before that."""
    done = subprocess.run(
        [sys.executable, KILLED, when, str(index), *words],
        env=vm.home.environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


def moments() -> Iterator[tuple[str, int]]:
    """Noted and done, for one step after the other, without end."""
    for index in range(100):
        yield "noted", index
        yield "done", index


@contextlib.contextmanager
def small_disk(vm: "Machine", size: str) -> Iterator[None]:
    """Put a VM's files on a disk of this size."""
    directory = vm.paths.directory
    aside = directory.rename(directory.with_name("aside"))
    directory.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory],
        check=True,
    )
    try:
        shutil.copytree(aside, directory, dirs_exist_ok=True)
        yield
    finally:
        vm.home("kill", vm.name)
        subprocess.run(["umount", "-l", directory], check=True)
        directory.rmdir()
        aside.rename(directory)
