"""history: entries, runs and how they ended."""

import json
import os
import pwd
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemu_cli.instance import history
from qemu_cli.paths import InstancePaths, Paths


@pytest.fixture
def instance(paths: Paths) -> InstancePaths:
    instance = paths.instance("web")
    instance.directory.mkdir(parents=True)
    return instance


def test_who_when_and_what(instance: InstancePaths) -> None:
    before = time.time()
    history.note(instance, "start", command="qemu start web", pid=7)
    (entry,) = history.entries(instance.history)
    assert before <= entry.pop("time") <= time.time()
    assert entry == {
        "action": "start",
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "command": "qemu start web",
        "pid": 7,
    }


@given(command=st.text())
def test_any_command_is_one_line_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, command: str
) -> None:
    directory = tmp_path_factory.mktemp("i")
    instance = InstancePaths(directory, directory)
    history.note(instance, "create", command=command)
    history.note(instance, "start", command=command)
    assert [e["command"] for e in history.entries(instance.history)] == [
        command,
        command,
    ]


def test_what_was_typed_need_not_be_text(instance: InstancePaths) -> None:
    typed = "qemu create web --image \udcff.qcow2"
    history.note(instance, "create", command=typed)
    (entry,) = history.entries(instance.history)
    assert entry["command"] == typed


def test_damaged_lines_are_passed_over(instance: InstancePaths) -> None:
    history.note(instance, "create", command="a")
    with instance.history.open("ab") as stream:
        stream.write(b'{"action": torn\n[1]\n7\n{"other": 1}\n\xff\xfe\n\n')
    history.note(instance, "start", command="b")
    found = [entry["action"] for entry in history.entries(instance.history)]
    assert found == ["create", "start"]


def test_no_history_is_an_empty_one(instance: InstancePaths) -> None:
    assert list(history.entries(instance.history)) == []
    assert history.last_run(instance) is None


def test_a_note_that_cannot_be_written_stops_nothing(
    instance: InstancePaths,
) -> None:
    instance.history.mkdir()
    history.note(instance, "start", command="qemu start web")
    assert list(history.entries(instance.history)) == []


def test_a_run_is_open_until_its_end_is_noted(
    instance: InstancePaths,
) -> None:
    history.note(instance, "start", command="", pid=1)
    history.note(instance, "exit", command="", reason="guest-shutdown")
    history.note(instance, "start", command="", pid=2)
    run = history.last_run(instance)
    assert run is not None
    assert (run[0]["pid"], run[1]) == (2, False)
    history.note(instance, "exit", command="", reason="crashed")
    run = history.last_run(instance)
    assert run is not None
    assert (run[0]["pid"], run[1]) == (2, True)


def test_why_the_last_run_ended(instance: InstancePaths) -> None:
    assert history.exit_reason(instance) == "exited"
    event = {"event": "SHUTDOWN", "data": {"reason": "guest-shutdown"}}
    instance.events_out.write_text(json.dumps(event))
    assert history.exit_reason(instance) == "guest-shutdown"
    # A pid file that is left behind says more than an old event.
    instance.pid_file.write_text("1")
    assert history.exit_reason(instance) == "crashed"


def test_a_user_without_a_name(
    instance: InstancePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(uid: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    history.note(instance, "start", command="")
    (entry,) = history.entries(instance.history)
    assert entry["user"] == str(Path("/proc/self").stat().st_uid)
