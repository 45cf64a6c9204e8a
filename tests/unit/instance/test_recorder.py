"""recorder: the FIFO for QEMU, and reading what QEMU wrote."""

import json
import os
import stat
from pathlib import Path

import pytest

from qemu_cli.instance import recorder
from qemu_cli.paths import InstancePaths, Paths


@pytest.fixture
def instance(paths: Paths) -> InstancePaths:
    instance = paths.instance("web")
    instance.directory.mkdir(parents=True)
    return instance


def shutdown(reason: str) -> bytes:
    event = {"event": "SHUTDOWN", "data": {"guest": True, "reason": reason}}
    return json.dumps(event).encode() + b"\r\n"


def test_the_fifo_holds_the_one_command(instance: InstancePaths) -> None:
    instance.events_in.write_text("left from the last start")
    instance.events_out.write_bytes(shutdown("guest-reset"))
    fifo = recorder.prepare(instance)
    try:
        assert stat.S_ISFIFO(instance.events_in.stat().st_mode)
        assert instance.events_out.read_bytes() == b""
        for path in (instance.events_in, instance.events_out):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert json.loads(os.read(fifo, 1000)) == {
            "execute": "qmp_capabilities"
        }
    finally:
        os.close(fifo)


def test_events_in_their_order_without_what_is_no_event(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.out"
    path.write_bytes(
        b'{"QMP": {"version": {}}}\r\n{"return": {}}\r\n'
        b'{"event": "STOP", "timestamp": {"seconds": 1}}\r\n'
        b'["event"]\r\n"event"\r\n{"event": torn\r\n{"a": "\xff event"}\r\n'
        b'{"event": "RESUME"}\r\n{"event": "SHUT'
    )
    found = [event["event"] for event in recorder.events(path)]
    assert found == ["STOP", "RESUME"]


def test_the_last_cause_counts(tmp_path: Path) -> None:
    path = tmp_path / "events.out"
    assert recorder.last_cause(path) == ""
    path.write_bytes(b'{"event": "STOP"}\r\n')
    assert recorder.last_cause(path) == ""
    path.write_bytes(shutdown("guest-reset") + shutdown("host-signal"))
    assert recorder.last_cause(path) == "host-signal"
    path.write_bytes(b'{"event": "SHUTDOWN"}\n')
    assert recorder.last_cause(path) == ""


def test_only_the_end_of_a_large_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.out"
    noise = b'{"event": "RTC_CHANGE", "data": {"offset": 0}}\r\n' * 100_000
    path.write_bytes(shutdown("guest-reset") + noise)
    assert recorder.last_cause(path) == ""
    path.write_bytes(noise + shutdown("guest-shutdown"))
    assert recorder.last_cause(path) == "guest-shutdown"
    assert len(list(recorder.events(path, tail=True))) < 1000


def test_who_is_killed_by_us_leaves_a_note(instance: InstancePaths) -> None:
    instance.pid_file.write_text("1\n")
    instance.events_out.write_bytes(b'{"event": "STOP"}\r\n{"event": "torn')
    recorder.note_killed(instance)
    assert recorder.last_cause(instance.events_out) == "killed"
    assert not instance.pid_file.exists()


def test_a_note_in_a_directory_that_is_gone_does_no_harm(
    paths: Paths,
) -> None:
    recorder.note_killed(paths.instance("gone"))
    assert not paths.instance("gone").directory.exists()
