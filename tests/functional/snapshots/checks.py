"""What the tests of snapshots share: what has to be, and who is killed."""

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from qemu_cli.instance.snapshots import store
from qemu_cli.storage import holders

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

TIMEOUT_S = 180.0


def tag_sizes(image: Path) -> dict[str, int]:
    """The internal snapshots of an image, and the sizes of their RAM."""
    said = subprocess.check_output(
        ["qemu-img", "info", "-U", "--output=json", image], timeout=TIMEOUT_S
    )
    snapshots = json.loads(said).get("snapshots", [])
    return {each["name"]: each["vm-state-size"] for each in snapshots}


def tags(image: Path) -> set[str]:
    return set(tag_sizes(image))


def check(file: Path, *, leaks: bool = False) -> None:
    """``qemu-img check`` has nothing to say of an image.

    :param leaks: but perhaps that room is lost in it
    """
    done = subprocess.run(
        ["qemu-img", "check", "-f", "qcow2", file],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    good = (0, 3) if leaks else (0,)  # qemu-img(1), check
    assert done.returncode in good, done.stdout + done.stderr


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


@contextlib.contextmanager
def holding(image: Path) -> Iterator[int]:
    """Another program has an image open for writing; its pid."""
    process = subprocess.Popen(
        ["qemu-io", "-f", "qcow2", image],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while not holders.holders(image):
            assert time.monotonic() < end
            time.sleep(0.05)
        yield process.pid
    finally:
        process.kill()
        process.wait()
        assert process.stdin
        process.stdin.close()


def stuffed(vm: "Machine", left_bytes: int = 0) -> Path:
    """Fill the disk that a VM is on; the file that does."""
    file = vm.paths.directory / "stuffing"
    piece = bytes(64 << 10)
    with file.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while not left_bytes or _free(stream) >= left_bytes + len(piece):
            stream.write(piece)
    return file


def _free(stream: IO[bytes]) -> int:
    found = os.fstatvfs(stream.fileno())
    return found.f_bavail * found.f_frsize


def until_written(vm: "Machine", size_bytes: int) -> None:
    """Wait until QEMU is in the middle of writing RAM."""
    end = time.monotonic() + TIMEOUT_S
    while vm.images["disk0"].stat().st_size < size_bytes:
        assert time.monotonic() < end
        time.sleep(0.001)
