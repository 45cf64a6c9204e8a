"""probe: against servers that behave in every way but well."""

import json
import os
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemu_cli.qmp.probe import ANSWER_MAX, Target, probe
from qemu_cli.qmp.trace import Trace
from qemu_cli.testing.fake_qmp import GREETING

REPLIES = (
    b'{"return": {}, "id": 1}\r\n'
    b'{"return": {"status": "paused", "running": false}, "id": 2}\r\n'
)
EVENT = b'{"event": "STOP", "timestamp": {}}\r\n'

REACHES = {"free", "busy", "stuck", "gone", "stranger", "denied", "garbage"}

#: Enough for a slow machine, where an answer must come.
PATIENCE_S = 30.0


@pytest.fixture
def said():
    """Probe a server that has said all it will say before it is asked."""
    ours = []

    def said(data: bytes, *, then_closes=False, timeout_s=PATIENCE_S):
        client, server = socket.socketpair()
        ours.append(server)
        server.setblocking(False)
        server.send(data)
        if then_closes:
            server.close()
        [answer] = probe([Target("/fake", sock=client)], timeout_s)
        assert client.fileno() == -1
        return answer

    yield said
    for server in ours:
        server.close()


def test_free(fake_qmp):
    fake = fake_qmp()
    fake.on("query-status", {"status": "paused"}, events=[{"event": "STOP"}])
    target = Target(fake.path, os.getpid())
    for _ in range(2):  # the first one leaves the monitor free
        [answer] = probe([target], PATIENCE_S)
        assert answer == ("free", "paused", (7, 2, 0), "", ())


def test_further_questions_have_their_replies(fake_qmp):
    fake = fake_qmp()
    fake.on("query-status", {"status": "running"})
    fake.on("query-name", {"name": "web"})
    asked = (("query-name", {}), ("no-such-command", {"x": 1}))
    [answer] = probe([Target(fake.path, questions=asked)], PATIENCE_S)
    assert answer.reach == "free"
    assert answer.run_state == "running"
    assert answer.replies == ({"name": "web"}, None)


def test_a_socket_that_is_connected_already(said):
    assert said(GREETING + EVENT + REPLIES).run_state == "paused"


def test_an_event_before_the_greeting_is_for_another(said):
    assert said(EVENT + GREETING + REPLIES).run_state == "paused"


def test_an_answer_in_small_pieces():
    client, server = socket.socketpair()
    data = GREETING + EVENT + REPLIES

    def dribble():
        for start in range(0, len(data), 7):
            server.sendall(data[start : start + 7])
            time.sleep(0.001)

    with server:
        thread = threading.Thread(target=dribble)
        thread.start()
        [answer] = probe([Target("/fake", sock=client)], PATIENCE_S)
        thread.join()
    assert answer.run_state == "paused"


def test_a_greeting_that_is_cut_off_is_garbage(said):
    answer = said(GREETING[:20], timeout_s=0.1)
    assert (answer.reach, answer.detail) == (
        "garbage",
        "its greeting is cut off",
    )


def test_no_greeting_is_busy(said):
    began = time.monotonic()
    assert said(b"", timeout_s=0.1).reach == "busy"
    assert time.monotonic() - began < PATIENCE_S


def test_a_greeting_and_then_silence_is_stuck(said):
    answer = said(GREETING, timeout_s=0.1)
    assert (answer.reach, answer.version) == ("stuck", (7, 2, 0))
    # Capabilities, and then a main loop that stops.
    assert said(GREETING + REPLIES[:24], timeout_s=0.1).reach == "stuck"


@pytest.mark.parametrize(
    "data", [b"", GREETING, GREETING + REPLIES[:30], b'{"QMP'], ids=len
)
def test_an_end_before_the_answer_is_gone(said, data):
    assert said(data, then_closes=True).reach == "gone"


@pytest.mark.parametrize(
    "data",
    [
        b"QEMU 7.2.0 monitor - type 'help' for more information\r\n",
        b"{}\r\n",
        b"[]\r\n",
        b"null\r\n",
        b"\xff\xfe\r\n",
        b"[" * 50_000 + b"\r\n",
        GREETING.replace(b"7", b"{}"),
        GREETING + b"oh no\r\n",
        GREETING + b'{"error": {"class": "GenericError"}, "id": 2}\r\n',
        GREETING + b'{"return": 1, "id": 2}\r\n',
    ],
)
def test_what_is_no_qmp_is_garbage(said, data):
    assert said(data).reach == "garbage"


def test_a_flood_is_cut_off(fake_qmp):
    fake = fake_qmp(greeting=b"x" * (100 << 20))
    [answer] = probe([Target(fake.path)], PATIENCE_S)
    assert answer.reach == "garbage"


def test_a_flood_of_events_is_cut_off(fake_qmp):
    fake = fake_qmp()
    fake.on("query-status", raw=EVENT * (ANSWER_MAX // len(EVENT) + 2))
    [answer] = probe([Target(fake.path)], PATIENCE_S)
    assert answer.reach == "garbage"


def test_nobody_there(short_dir):
    stale = short_dir / "stale"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(stale))
    targets = [Target(str(short_dir / "none")), Target(str(stale))]
    assert [one.reach for one in probe(targets)] == ["gone", "gone"]


def test_a_full_queue_is_busy(short_dir):
    path = str(short_dir / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(path)
            assert probe([Target(path)])[0].reach == "busy"


def test_another_process_is_a_stranger(fake_qmp):
    fake = fake_qmp()
    [answer] = probe([Target(fake.path, os.getpid() + 1)])
    assert answer.reach == "stranger"
    assert str(os.getpid()) in answer.detail
    assert fake.received == []


def test_no_permission_is_denied(fake_qmp, short_dir):
    fake = fake_qmp()
    short_dir.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # root may connect everywhere
    try:
        [answer] = probe([Target(fake.path)])
    finally:
        if root:
            os.seteuid(0)
        short_dir.chmod(0o700)
    assert answer.reach == "denied"


def test_a_path_that_no_socket_can_have_is_denied():
    [answer] = probe([Target("/" + "x" * 200)])
    assert answer.reach == "denied"


def test_tcp():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        silent = probe([Target(f"127.0.0.1:{port}")], 0.1)
    refused = probe([Target(f"127.0.0.1:{port}")], PATIENCE_S)
    assert [silent[0].reach, refused[0].reach] == ["busy", "gone"]


def test_300_at_once_are_not_held_up_by_the_silent_ones():
    pairs = [socket.socketpair() for _ in range(300)]
    try:
        for number, (_, server) in enumerate(pairs):
            if number % 100:
                server.send(GREETING + REPLIES)
        targets = [
            Target(f"/{n}", sock=pair[0]) for n, pair in enumerate(pairs)
        ]
        answers = probe(targets, 2.0)
        silent = [n for n, one in enumerate(answers) if one.reach != "free"]
        assert silent == [0, 100, 200]
        assert {answers[n].reach for n in silent} == {"busy"}
    finally:
        for pair in pairs:
            for one in pair:
                one.close()


def test_no_targets():
    assert probe([]) == []


def test_the_trace_sees_both_ways(said):
    lines = []
    client, server = socket.socketpair()
    with server:
        server.send(GREETING + REPLIES)
        probe([Target("/web/a.sock", sock=client)], 1, Trace(lines.append))
    arrows = [line[0] for line in lines]
    assert arrows == ["→", "→", "←", "←", "←"]
    assert all("web/a" in line for line in lines)
    status = json.loads(lines[-1].split("web/a ")[1])
    assert status["return"]["status"] == "paused"


@given(st.lists(st.sampled_from([GREETING, REPLIES, EVENT]) | st.binary()))
def test_no_bytes_can_raise(parts):
    client, server = socket.socketpair()
    with server:
        server.send(b"".join(parts))
        server.shutdown(socket.SHUT_WR)
        [answer] = probe([Target("/fake", sock=client)], PATIENCE_S)
    assert answer.reach in REACHES
    assert (answer.reach == "free") == (answer.run_state is not None)
