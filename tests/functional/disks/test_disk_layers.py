"""qemu disk move, flatten and commit: not a byte is lost.

A disk of these tests stands on four layers, and each holds bytes of its
own.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.functional.disks.conftest import DiskVM

    Make = Callable[..., "DiskVM"]
    Image = Callable[..., Path]
    Tool = Callable[..., str]

MIB = 1 << 20

#: Bytes, and where they are.
CONTENT = ((1, "0 4M"), (2, "4M 1M"), (3, "5M 1M"), (4, "6M 1M"))


@pytest.fixture
def base(image: "Image", tool: "Tool", tmp_path: Path) -> Path:
    """The user's image, which nothing may change."""
    path = image(tmp_path / "base.qcow2")
    tool("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 8M", path)
    path.chmod(0o444)
    return path


@pytest.fixture
def vm(machine: "Make", base: Path) -> Iterator["DiskVM"]:
    """A stopped VM of a disk with all its layers."""
    before = base.read_bytes()
    vm = machine("--image", base)
    for pattern, where in CONTENT[1:]:
        vm.write(pattern, where)
        if pattern < 4:
            vm.stack()
    yield vm
    assert base.read_bytes() == before


def intact(vm: "DiskVM") -> bool:
    return all(vm.holds(pattern, where) for pattern, where in CONTENT)


def names(vm: "DiskVM") -> list[str]:
    return [Path(layer["file"]).name for layer in vm.layers()]


def images(vm: "DiskVM") -> set[str]:
    return {each.name for each in vm.directory.glob("disk*")}


def restarted(vm: "DiskVM") -> "DiskVM":
    """The same, from what is on the host's disk only."""
    vm.kill()
    vm.ok("start")
    return vm


@pytest.fixture(params=["running", "stopped"])
def either(request: pytest.FixtureRequest, vm: "DiskVM") -> "DiskVM":
    if request.param == "running":
        vm.ok("start")
    return vm


def test_commit_one_layer_after_the_other(either: "DiskVM") -> None:
    vm = either
    said = vm.refused(2, "disk commit", "disk0")
    assert "--yes" in said and "disk0.2.qcow2" in said
    for number in (1, 0):
        done = vm.ok("disk commit", "disk0", "--yes", "-f", "json").json
        file = f"disk0.{number}.qcow2" if number else "disk0.qcow2"
        assert done["file"] == vm.disk()["file"] == file
        assert names(vm)[0] == file and len(names(vm)) == number + 2
        assert intact(vm)
    assert images(vm) == {"disk0.qcow2"}
    # The base is the user's.
    said = vm.refused(4, "disk commit", "disk0", "--yes")
    assert "outside of the VM's directory" in said
    if vm.running:
        assert len(vm.nodes()) == 4  # two images and their files
        vm.write(5, "7M 1M")
        assert vm.io("flush") == ""
        restarted(vm)
        assert vm.holds(5, "7M 1M")
    assert intact(vm)


def test_flatten(either: "DiskVM", base: Path) -> None:
    vm = either
    done = vm.ok("disk flatten", "disk0", "-f", "json").json
    assert [Path(file).name for file in done["unneeded"]] == [
        *("disk0.1.qcow2", "disk0.qcow2"),
    ]
    if vm.running:
        assert vm.nodes() == ["disk0", "disk0-file"]
        # block-stream does not flush: see steps/block.py.
        restarted(vm)
    assert names(vm) == ["disk0.2.qcow2"]
    base.rename(base.with_suffix(".away"))
    assert intact(vm)
    base.with_suffix(".away").rename(base)
    assert "stands alone" in vm.refused(4, "disk flatten", "disk0")
    assert "stands alone" in vm.refused(4, "disk commit", "disk0", "--yes")


def test_flatten_and_delete(either: "DiskVM", base: Path) -> None:
    vm = either
    words = ("disk flatten", "disk0", "--delete-files")
    assert "disk0.1.qcow2, disk0.qcow2" in vm.refused(2, *words)
    vm.ok(*words, "--yes")
    assert images(vm) == {"disk0.2.qcow2"}
    if vm.running:
        restarted(vm)
    assert base.exists() and intact(vm)


def test_move_with_its_chain(either: "DiskVM", tmp_path: Path) -> None:
    vm = either
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    vm.ok("disk move", "disk0", elsewhere)
    moved = elsewhere / "disk0.2.qcow2"
    assert vm.disk()["file"] == str(moved)
    assert images(vm) == {"disk0.qcow2", "disk0.1.qcow2"}
    assert len(names(vm)) == 4 and intact(vm)
    if vm.running:
        assert {n.split("-")[0] for n in vm.nodes()} == {"", "disk0.1"}
        restarted(vm)
        assert intact(vm)
    # And back again, under another name.
    vm.ok("disk move", "disk0", vm.directory / "back.qcow2")
    assert vm.disk()["file"] == "back.qcow2"
    # What is outside of its directory is never deleted.
    assert moved.exists()
    assert intact(vm)


def test_move_alone_in_another_format(
    either: "DiskVM", tmp_path: Path
) -> None:
    vm = either
    target = tmp_path / "disk.raw"
    said = vm.refused(2, "disk move", "disk0", target, "--to", "raw")
    assert "--flatten" in said
    words = ("disk move", "disk0", target, "--to", "raw", "--flatten")
    done = vm.ok(*words, "--keep", "-f", "json").json
    assert done["old_file_stays"]
    assert images(vm) == {"disk0.qcow2", "disk0.1.qcow2", "disk0.2.qcow2"}
    (only,) = vm.layers()
    assert (only["file"], only["format"]) == (str(target), "raw")
    assert intact(vm)
    if vm.running:
        restarted(vm)
        assert intact(vm)
    vm.ok("disk move", "disk0", vm.directory, "--to", "qcow2")
    assert names(vm) == ["disk.qcow2"] and target.exists()
    assert intact(vm)


def test_move_refuses(vm: "DiskVM", tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    said = vm.refused(2, "disk move", "disk0", taken)
    assert "already" in said and taken.read_text() == "mine"
    assert "no directory" in vm.refused(
        3, "disk move", "disk0", tmp_path / "none" / "x"
    )
    vm.home("clone", vm.name, "c")
    assert "needed by 'c'" in vm.refused(4, "disk commit", "disk0", "--yes")
    vm.home("delete", "c", "--yes")


def test_internal_snapshots_are_not_lost(vm: "DiskVM", tmp_path: Path) -> None:
    target = tmp_path / "new.qcow2"
    vm.ok("snapshot create", "s1")
    vm.write(9, "0 1M")
    for words in (
        ("disk flatten", "disk0"),
        ("disk commit", "disk0", "--yes"),
        ("disk move", "disk0", target, "--flatten"),
    ):
        assert "internal snapshots 's1'" in vm.refused(4, *words)
    vm.ok("start")
    said = vm.refused(4, "disk move", "disk0", target)
    assert "internal snapshots 's1'" in said and "shut the VM down" in said
    vm.ok("quit")
    # The file as it is, with all that is in it.
    vm.ok("disk move", "disk0", target)
    assert vm.holds(9, "0 1M")
    vm.ok("snapshot revert", "s1", "--yes")
    assert intact(vm)


def test_external_snapshots_keep_their_layers(
    vm: "DiskVM", tmp_path: Path
) -> None:
    vm.ok("snapshot create", "s1", "--external")
    assert "snapshot 's1' needs" in vm.refused(
        4, "disk commit", "disk0", "--yes"
    )
    vm.write(9, "0 1M")
    vm.ok("disk flatten", "disk0", "--delete-files", "--yes")
    assert vm.holds(9, "0 1M")
    vm.ok("snapshot revert", "s1", "--yes")
    assert intact(vm)


def test_left_to_qemu(vm: "DiskVM", tmp_path: Path) -> None:
    """The next command that changes something finishes it, or waits."""
    vm.ok("start")
    target = tmp_path / "new.qcow2"
    assert (
        "in the background"
        in vm.ok("disk move", "disk0", target, "--detach").err
    )
    vm.ok("job wait")
    assert vm.disk()["file"] == str(target)
    assert vm.ok("job list", "-f", "json").json == []
    assert not (vm.directory / "disk0.2.qcow2").exists()
    vm.ok("disk flatten", "disk0", "--detach")
    vm.ok("job wait")
    assert names(vm) == ["new.qcow2"]
    restarted(vm)
    assert intact(vm)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    options = ("-t", "tmpfs", "-o", "size=1M", "none", mount)
    subprocess.run(["mount", *options], check=True)
    yield mount
    subprocess.run(["umount", "--lazy", mount], check=True)


def test_a_full_disk(either: "DiskVM", small: Path) -> None:
    vm = either
    for more in ((), ("--flatten",)):
        said = vm.refused(
            5 if vm.running else 1, "disk move", "disk0", small, *more
        )
        assert "No space left on device" in said
        assert "it takes up to" in said
        assert list(small.iterdir()) == []
        if vm.running:
            assert vm.qmp("query-jobs") == []
    assert intact(vm)


def test_two_commands_at_once(vm: "DiskVM", tmp_path: Path) -> None:
    """One does it; the other finds it done, or says who is at it."""
    vm.ok("start")
    both = [
        subprocess.Popen(
            [
                *(vm.home.executable, "disk", "move", vm.name, "disk0"),
                tmp_path / f"{number}.qcow2",
            ],
            env=vm.home.environment,
            stderr=subprocess.DEVNULL,
        )
        for number in range(2)
    ]
    assert [each.wait(60) for each in both] == [0, 0]
    assert intact(vm)
    assert Path(vm.disk()["file"]).parent == tmp_path


def test_while_it_is_exported(vm: "DiskVM", tmp_path: Path) -> None:
    vm.ok("start")
    vm.ok("nbd-export")
    for words in (
        ("disk move", "disk0", tmp_path / "x"),
        ("disk flatten", "disk0"),
        ("disk commit", "disk0", "--yes"),
        ("disk resize", "disk0", "9M"),
    ):
        assert "is being exported" in vm.refused(6, *words)
    vm.ok("export stop")
    vm.ok("disk flatten", "disk0")
    assert intact(vm)


def moments() -> Iterator[tuple[str, int]]:
    for index in range(20):
        yield "noted", index
        yield "done", index


@pytest.mark.parametrize("qemu", ["lives", "dies, too"])
@pytest.mark.parametrize("command", ["move", "commit", "flatten"])
def test_killed_between_every_two_steps(
    vm: "DiskVM", tmp_path: Path, command: str, qemu: str
) -> None:
    words: tuple[str | Path, ...] = ("disk", command, vm.name, "disk0")
    if command == "move":
        words = (*words, tmp_path / "new.qcow2")
    else:
        words = (*words, "--yes")
    kept = tmp_path / "kept"
    shutil.copytree(vm.directory, kept)
    kills = 0
    for when, index in moments():
        vm.ok("start")
        pattern = 10 + kills
        vm.write(pattern, "7M 1M")
        assert vm.io("flush") == ""
        if not vm.killed_in(when, index, *words):
            break
        kills += 1
        # While a job is pending a guest's writes wait, and those of qemu-io
        # would wait in QEMU's main loop.
        held = any(j["status"] == "pending" for j in vm.qmp("query-jobs"))
        newest = pattern if held else pattern + 100
        if not held:
            vm.write(newest, "7M 512k")
            assert vm.io("flush") == ""
        if qemu == "dies, too":
            vm.kill()
        said = vm.run("set", "config.lock.timeout=9s")
        if "had been interrupted" not in said.err:
            assert "config" in said.err, (when, index, said)
        vm.ok("disk list")
        if qemu == "lives":
            assert vm.qmp("query-jobs") == []
            assert vm.holds(newest, "7M 512k"), (when, index)
            restarted(vm)
        else:
            vm.ok("start")
        assert intact(vm), (when, index)
        assert vm.holds(newest, "7M 512k"), (when, index)
        assert vm.holds(pattern, "7680k 512k"), (when, index)
        assert not list(vm.home.paths.pending.iterdir())
        used = {Path(layer["file"]) for layer in vm.layers()}
        there = {*vm.directory.glob("*.qcow2"), *tmp_path.glob("new*")}
        if command != "flatten":
            assert there == used - {tmp_path / "base.qcow2"}
        vm.ok("quit")
        shutil.rmtree(vm.directory)
        (tmp_path / "new.qcow2").unlink(missing_ok=True)
        shutil.copytree(kept, vm.directory)
    assert kills >= 6
    assert intact(vm)
