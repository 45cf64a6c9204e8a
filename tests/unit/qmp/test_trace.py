"""trace: its lines, and that no secret gets into them."""

import json

import pytest

from qemu_cli.qmp.trace import LINE_MAX, Trace

SECRET = "open-sesame"


@pytest.fixture
def lines():
    return []


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("set_password", {"protocol": "vnc", "password": SECRET}),
        ("change-vnc-password", {"password": SECRET}),
        (
            "object-add",
            {"qom-type": "secret", "id": "s0", "data": SECRET},
        ),
        (
            "transaction",
            {"actions": [{"data": {"password": SECRET}}]},
        ),
        ("guest-set-user-password", {"username": "u", "password": SECRET}),
        ("guest-exec", {"path": "/x", "input-data": SECRET}),
        ("guest-file-write", {"handle": 1, "buf-b64": SECRET}),
    ]
    + [
        ("human-monitor-command", {"command-line": line})
        for line in (
            f"set_password vnc {SECRET}",
            f"set_password vnc {SECRET} keep",
            f"change vnc password {SECRET}",
            f"object_add secret,id=s0,data={SECRET}",
        )
    ],
)
def test_secrets_are_hidden(lines, command, arguments):
    message = {"execute": command, "arguments": arguments}
    trace = Trace(lines.append)
    trace.sent("/run/web/control.sock", message)
    trace.sent("/run/web/control.sock", json.dumps(message).encode())
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("→")
        assert " web/control " in line
        assert SECRET not in line
        assert "<hidden>" in line
        assert command in line
    assert SECRET in str(message)  # what is sent is not changed


def test_what_is_no_secret_is_shown(lines):
    event = {"event": "STOP", "data": {"reason": "guest-shutdown"}}
    Trace(lines.append).received("10.0.0.1:4444", event)
    [line] = lines
    assert line.startswith("←")
    assert line.endswith(f"10.0.0.1:4444 {json.dumps(event)}\n")


def test_garbage_and_long_messages(lines):
    trace = Trace(lines.append)
    trace.received("/a/b", b"\xff\x00 not JSON\n")
    trace.received("/a/b", {"return": "x" * 300_000})
    assert "not JSON" in lines[0]
    assert lines[0].count("\n") == 1
    assert len(lines[1]) < LINE_MAX + 200
    assert "characters)" in lines[1]
