"""The program is killed between every two steps of a plan.

The next command must repair it and say so: everything or nothing is done,
what was on the disks is still there, and no file is left over.
"""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.proc import ProcFS
from qemu_cli.testing.home import QemuHome, Result
from tests.functional.killing import kill_in, moments

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")


def ok(result: Result) -> Result:
    assert result.rc == 0, result.err
    return result


def qemu_io(home: QemuHome, name: str, command: str) -> bool:
    """Do something to a VM's disk, as its guest would."""
    image, image_format = top(home, name)
    done = subprocess.run(
        ["qemu-io", "-f", image_format, "-c", command, image],
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    return done.returncode == 0


def write(home: QemuHome, name: str, pattern: int) -> None:
    """Fill the first MiB of a VM's disk."""
    assert qemu_io(home, name, f"write -P {pattern} 0 1M")


def holds(home: QemuHome, name: str, pattern: int) -> bool:
    """Whether a VM's disk reads as :func:`write` left it."""
    return qemu_io(home, name, f"read -P {pattern} 0 1M")


def top(home: QemuHome, name: str) -> tuple[Path, str]:
    directory = home.paths.instance(name).directory
    disk = tomllib.loads((directory / "instance.toml").read_text())["disks"][0]
    return directory / disk["file"], disk["format"]


def files(home: QemuHome) -> set[str]:
    """All files below the instances, but for locks, which stay."""
    root = home.paths.instances
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if ".locks" not in path.parts
    }


def names(home: QemuHome) -> set[str]:
    return set(ok(home("list", "-q")).out.split())


def images_in_use(home: QemuHome, name: str) -> set[str]:
    """The images in a VM's directory that a chain leads to."""
    directory = home.paths.instance(name).directory.resolve()
    used = set()
    for each in names(home):
        image, image_format = top(home, each)
        chain = subprocess.check_output(
            [
                *("qemu-img", "info", "--output=json", "--backing-chain"),
                *("-f", image_format, image),
            ],
            timeout=60,
        )
        files = [
            Path(layer["filename"]).resolve() for layer in json.loads(chain)
        ]
        used |= {file.name for file in files if file.parent == directory}
    return used


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image that the user has, with something in it."""
    path = tmp_path / "image.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"], check=True
    )
    subprocess.run(
        ["qemu-io", "-c", "write -P 7 0 1M", path],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return path


def test_create(qemu_home: QemuHome, image: Path) -> None:
    words = ("--image", str(image), "--disk", "8M", *SMALL)
    ok(qemu_home("create", "whole", *words))
    whole = {
        name.partition("/")[2]
        for name in files(qemu_home)
        if name.startswith("whole/")
    }
    before = image.read_bytes()
    for number, (when, index) in enumerate(moments()):
        name = f"v{number}"
        if not kill_in(qemu_home, when, index, "create", name, *words):
            break
        assert qemu_home("list").rc == 0
        again = ok(qemu_home("create", name, *words))
        assert "had been interrupted: took it back" in again.err, index
        mine = {
            each.partition("/")[2]
            for each in files(qemu_home)
            if each.startswith(f"{name}/")
        }
        assert mine - {"history.jsonl"} == whole - {"history.jsonl"}
        assert holds(qemu_home, name, 7)
    assert number > 6
    assert image.read_bytes() == before
    assert not list(qemu_home.paths.pending.iterdir())


def test_start(qemu_home: QemuHome) -> None:
    ok(qemu_home("create", "vm", "--disk", "8M", *SMALL))
    paths = qemu_home.paths.instance("vm")
    before = files(qemu_home)
    kills = 0
    for when, index in (*_starts(), ("spawned", 0)):
        # As at the first start: the plan has all its steps.
        shutil.rmtree(paths.runtime.parent, ignore_errors=True)
        paths.command.unlink(missing_ok=True)
        if not kill_in(qemu_home, when, index, "start", "vm", "--paused"):
            ok(qemu_home("quit", "vm"))
            continue
        kills += 1
        assert row(qemu_home, "vm")["state"] in (
            *("stopped", "starting", "paused", "crashed"),
        )
        again = qemu_home("start", "vm", "--paused")
        assert "had been interrupted" in again.err, (when, index)
        assert again.rc == (4 if "finished it" in again.err else 0), again.err
        assert row(qemu_home, "vm")["state"] == "paused"
        assert len(qemus(paths.pid_file)) == 1
        ok(qemu_home("quit", "vm"))
        assert qemus(paths.pid_file) == []
        assert not [p for p in paths.runtime.iterdir() if p.is_socket()]
        # What a run leaves: its logs, its events, and the script.
        assert files(qemu_home) - before <= {
            f"vm/{each}"
            for each in (
                *("command.sh", "events.out", "qemu.log", "serial.log"),
                "history.jsonl",
            )
        } | {".pending"}
    assert kills > 6


def _starts() -> list[tuple[str, int]]:
    return [(when, index) for index in range(5) for when in ("noted", "done")]


def row(home: QemuHome, name: str) -> Any:
    (only,) = ok(home("list", name, "-f", "json")).json
    return only


def qemus(pid_file: Path) -> list[int]:
    """The processes that have this pid file in their command lines."""
    found = ProcFS().processes(re.compile(r"qemu-system-.*"))
    return [each.pid for each in found if str(pid_file) in each.argv]


def test_clone(qemu_home: QemuHome) -> None:
    for number, (when, index) in enumerate(moments()):
        name, new = f"s{number}", f"c{number}"
        ok(qemu_home("create", name, "--disk", "8M", *SMALL))
        write(qemu_home, name, 5)
        if not kill_in(qemu_home, when, index, "clone", name, new):
            break
        # The repair comes with the next command on either of the two.
        first = new if number % 2 and new in names(qemu_home) else name
        repaired = qemu_home("set", first, "config.lock.timeout=9s")
        assert "had been interrupted: took it back" in repaired.err, index
        assert repaired.rc == (4 if first == new else 0), repaired.err
        assert names(qemu_home) == {name}
        assert not list(qemu_home.paths.pending.iterdir())
        assert holds(qemu_home, name, 5), (when, index)
        directory = qemu_home.paths.instance(name).directory
        assert {p.name for p in directory.glob("disk*")} == images_in_use(
            qemu_home, name
        )
        ok(qemu_home("delete", name, "--yes"))
    assert number > 8
    # This one was not killed; each writes to what is its own.
    write(qemu_home, name, 6)
    assert holds(qemu_home, new, 5)


def test_rename(qemu_home: QemuHome) -> None:
    ok(qemu_home("create", "n", "--disk", "8M", *SMALL))
    write(qemu_home, "n", 5)
    ok(qemu_home("clone", "n", "clone"))
    name = "n"
    for number, (when, index) in enumerate(moments()):
        new = f"n{number}"
        if not kill_in(qemu_home, when, index, "rename", name, new):
            break
        # Also through the clone, whose images it rewrites.
        (left,) = names(qemu_home) - {"clone"}
        first = "clone" if number % 2 else left
        repaired = qemu_home("set", first, "config.shutdown.timeout=1m")
        assert "had been interrupted" in repaired.err, (when, index)
        (name,) = names(qemu_home) - {"clone"}
        assert name == new or "took it back" in repaired.err
        assert holds(qemu_home, name, 5), (when, index)
        assert holds(qemu_home, "clone", 5), (when, index)
        assert not list(qemu_home.paths.pending.iterdir())
    assert number > 6
    top_level = {
        each.name
        for each in qemu_home.paths.instances.iterdir()
        if not each.name.startswith(".")
    }
    assert top_level == {new, "clone"}


@pytest.mark.parametrize("by", ["same name", "another VM"])
def test_delete(qemu_home: QemuHome, image: Path, by: str) -> None:
    before = image.read_bytes()
    ok(qemu_home("create", "other", *SMALL))
    for number, (when, index) in enumerate(moments()):
        name = f"v{number}"
        ok(qemu_home("create", name, "--image", str(image), *SMALL))
        if not kill_in(qemu_home, when, index, "delete", name, "--yes"):
            break
        if by == "another VM":
            # What is left of a VM that is gone is looked at by any command.
            said = ok(qemu_home("set", "other", "config.lock.timeout=9s")).err
        elif name in names(qemu_home):
            said = qemu_home("delete", name, "--yes").err
        else:
            again = qemu_home("create", name, *SMALL)
            assert again.rc == (4 if "took it back" in again.err else 0)
            said = again.err
        if name in names(qemu_home):
            said += ok(qemu_home("delete", name, "--yes")).err
        assert "had been interrupted" in said, (when, index)
        assert name not in names(qemu_home)
        here = {path.name for path in qemu_home.paths.instances.iterdir()}
        assert here == {"other", ".locks", ".pending"}
        assert not list(qemu_home.paths.pending.iterdir())
    assert number > 4
    assert image.read_bytes() == before
