"""joined: names for VMs of others, without a QEMU."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu_cli.errors import QemuCliError, StateError
from qemu_cli.instance import history
from qemu_cli.instance.discovery import joined
from qemu_cli.instance.discovery.access import Access
from qemu_cli.instance.discovery.foreign import Foreign
from qemu_cli.instance.vm import VM
from qemu_cli.paths import Paths
from qemu_cli.proc import ProcFS


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(
        data=tmp_path,
        state=tmp_path,
        cache=tmp_path / "cache",
        config=tmp_path,
    )


@pytest.fixture
def pid() -> Iterator[int]:
    """Somebody else's process."""
    wait = "import sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", wait], stdin=subprocess.PIPE
    ) as child:
        yield child.pid
        child.kill()


def stranger(paths: Paths, pid: int, name: str = "web", **more: object) -> VM:
    process = ProcFS().process(pid)
    assert process is not None
    foreign = Foreign(
        process, "system", name, "", "hand", None, (), Access("none")
    )
    vm = VM(
        name,
        paths.stranger(pid, process.start_time),
        "running",
        process=process,
        origin="hand",
        foreign=foreign,
    )
    return vm._replace(**more)  # type: ignore[arg-type]


def called(paths: Paths) -> list[str]:
    return [one.name for one in joined.living(paths, ProcFS()).values()]


def test_a_name_and_a_log(paths: Paths) -> None:
    vm = stranger(paths, os.getpid())
    one = joined.join(paths, vm, "mine", command="qemu join web")
    assert (one.name, one.own_name, one.pid) == ("mine", "web", os.getpid())
    assert called(paths) == ["mine"]
    own = paths.joined_stranger("mine", one.pid, one.start_time)
    # The lock on its monitor is the same with the name and without.
    assert own.monitor_lock == vm.paths.monitor_lock
    [entry] = history.entries(own.history)
    assert entry["action"] == "join"
    assert entry["command"] == "qemu join web"
    joined.leave(paths, vm._replace(name="mine", joined=True))
    assert called(paths) == []
    assert not own.directory.exists()
    with pytest.raises(StateError, match="'web' is not joined"):
        joined.leave(paths, vm)


@pytest.mark.parametrize(
    ("own", "name"),
    [
        ("web", "web"),
        ("my web/1", "my-web-1"),
        ("-x", "x"),
        ("é", "qemu-{pid}"),
        ("all", "qemu-{pid}"),
        ("pid:{pid}", "qemu-{pid}"),
        ("taken", "taken-2"),
        ("a.lock", "a"),
        ("x" * 100, "x" * 60),
    ],
)
def test_the_name_that_is_made(paths: Paths, own: str, name: str) -> None:
    paths.instance("taken").directory.mkdir(parents=True)
    pid = os.getpid()
    vm = stranger(paths, pid, own.format(pid=pid))
    one = joined.join(paths, vm, None, command="qemu join")
    assert one.name == name.format(pid=pid)


def test_names_that_are_taken(paths: Paths, pid: int) -> None:
    me, other = stranger(paths, os.getpid()), stranger(paths, pid)
    paths.instance("ours").directory.mkdir(parents=True)
    joined.join(paths, me, None, command="")
    with pytest.raises(StateError, match="joined already, as 'web'"):
        joined.join(paths, me, "b", command="")
    with pytest.raises(StateError, match="'web' belongs to another VM"):
        joined.join(paths, other, "web", command="")
    with pytest.raises(StateError, match="there is an instance 'ours'"):
        joined.join(paths, other, "ours", command="")
    assert joined.join(paths, other, None, command="").name == "web-2"
    with pytest.raises(StateError, match="'web' is what you call another"):
        joined.check_room(paths, "web")
    joined.check_room(paths, "free")


def test_only_processes_of_this_host(paths: Paths) -> None:
    vm = stranger(paths, os.getpid())
    with pytest.raises(StateError, match="an instance of yours already"):
        joined.join(paths, vm._replace(foreign=None), None, command="")
    with pytest.raises(StateError, match="no process of this host"):
        joined.join(paths, vm._replace(process=None), None, command="")


@pytest.mark.parametrize("key", ["pid", "start_time", "boot_id"])
def test_it_is_gone_with_its_process(paths: Paths, key: str) -> None:
    vm = stranger(paths, os.getpid())
    joined.join(paths, vm, None, command="")
    record = paths.joined_record("web")
    told = json.loads(record.read_text())
    other = {"pid": 1 << 22, "start_time": 1, "boot_id": "another"}
    record.write_text(json.dumps({**told, key: other[key]}))
    assert called(paths) == []
    assert not record.parent.exists()
    assert joined.join(paths, vm, None, command="").name == "web"


def test_a_dead_one_gives_its_name_away(paths: Paths) -> None:
    vm = stranger(paths, os.getpid())
    joined.join(paths, vm, None, command="first")
    record = paths.joined_record("web")
    told = json.loads(record.read_text())
    record.write_text(json.dumps({**told, "start_time": 1}))
    one = joined.join(paths, vm, "web", command="second")
    own = paths.joined_stranger("web", one.pid, one.start_time)
    commands = [entry["command"] for entry in history.entries(own.history)]
    assert commands == ["second"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": 1}', "\0"])
def test_what_is_no_record_is_passed_over(paths: Paths, text: str) -> None:
    record = paths.joined_record("web")
    record.parent.mkdir(parents=True)
    record.write_text(text)
    (paths.joined / ".4711").mkdir()
    (paths.joined / "file").write_text("")
    assert called(paths) == []
    vm = stranger(paths, os.getpid())
    assert joined.join(paths, vm, "web", command="").name == "web"


def test_a_directory_that_can_not_be_made(paths: Paths) -> None:
    paths.joined.parent.mkdir()
    paths.joined.write_text("")
    vm = stranger(paths, os.getpid())
    with pytest.raises(QemuCliError, match="can't be written"):
        joined.join(paths, vm, None, command="")
