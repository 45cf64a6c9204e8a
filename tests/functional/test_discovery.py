"""VMs that somebody else started: seen from outside, and never disturbed.

Each test names its VMs by pid, so that nobody asks those that other tests
run at the same time.
"""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from qemu_cli.proc import ProcFS
from qemu_cli.testing.real_qemu import binary
from tests.functional.by_hand import (
    Foreign,
    foreign_talk,
    free_port,
    qmp,
)
from tests.functional.until import until

#: Names that no test has that runs at the same time.
SOME_ONE = f"some one {os.getpid()}"
TWIN = f"twin-{os.getpid()}"
WEB = f"web-{os.getpid()}"


@pytest.mark.parametrize(
    "args",
    [
        ("-qmp", "unix:{dir}/q.sock,server=on,wait=off"),
        ("-qmp", "unix:{dir}/q.sock,server,nowait"),
        ("-qmp", "unix:q.sock,server=on,wait=off"),
        (
            *("-mon", "chardev=c,mode=control"),
            *("-chardev", "socket,id=c,path={dir}/q.sock,server=on,wait=off"),
        ),
        ("-readconfig", "q.conf"),
        ("-qmp", "unix:q.sock,server=on,wait=off", "-daemonize"),
    ],
    ids=["qmp", "old", "relative", "mon", "readconfig", "daemonized"],
)
def test_a_free_monitor(foreign: Foreign, args: tuple[str, ...]) -> None:
    directory = foreign.directory
    (directory / "q.conf").write_text(
        '[chardev "c"]\nbackend = "socket"\npath = "q.sock"\n'
        'server = "on"\nwait = "off"\n[mon]\nchardev = "c"\n'
        'mode = "control"\n'
    )
    pid_file = directory / "pid"
    pid = foreign.start(
        *("-name", f"guest={SOME_ONE},debug-threads=on"),
        *(word.format(dir=directory) for word in args),
        *("-pidfile", str(pid_file)),
        ready=pid_file,
        env={**os.environ, "PWD": str(directory)},
    )
    if "-daemonize" in args:
        pid = int(until(pid_file.read_text))
    try:
        row = foreign.row(pid)
        assert (row["name"], row["origin"]) == (SOME_ONE, "hand")
        assert (row["monitor"], row["monitor_reason"]) == ("free", "")
        assert (row["state"], row["run_state"]) == ("running", "running")
        assert row["machine"] == "none"
        paused = foreign.home("pause", SOME_ONE)
        assert paused.rc == 0, paused.err
        assert foreign.row(pid)["state"] == "paused"
        assert foreign.home("resume", f"pid:{pid}").rc == 0
        assert foreign.home("resume", f"hand:{SOME_ONE}").rc == 4
        shown = foreign.home("show", f"qmp:{directory}/q.sock", "-f", "json")
        assert shown.json["pid"] == pid
        assert foreign.home("quit", f"pid:{pid}").rc == 0
        until(lambda: ProcFS().process(pid) is None)
        assert foreign.home("list", f"pid:{pid}").rc == 3
    finally:
        if "-daemonize" in args and ProcFS().process(pid):
            os.kill(pid, signal.SIGKILL)


def test_tcp_and_abstract(foreign: Foreign) -> None:
    port = free_port()
    name = f"q-{os.getpid()}"
    tcp = foreign.start("-qmp", f"tcp::{port},server=on,wait=off")
    abstract = foreign.start(
        *("-chardev", f"socket,id=c,path={name},abstract=on,server=on"),
        *("-mon", "c,mode=control"),
    )
    for pid in (tcp, abstract):
        until(lambda pid=pid: foreign.row(pid)["monitor"] == "free")
        assert foreign.home("pause", f"pid:{pid}").rc == 0
        assert foreign.row(pid)["state"] == "paused"
    shown = foreign.home("show", f"qmp:localhost:{port}", "-f", "json")
    assert (shown.json["pid"], shown.json["state"]) == (tcp, "paused")
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.recv(10)
        row = foreign.row(tcp)
        assert row["monitor"] == "held"
        assert row["monitor_holder"]["pid"] == os.getpid()
        begun = time.monotonic()
        refused = foreign.home(
            *("-c", "lock.timeout=1s", "-c", "connect.timeout=2s"),
            *("resume", f"pid:{tcp}"),
        )
        assert refused.rc == 6, refused.err
        assert time.monotonic() - begun < 30


def test_a_held_monitor_is_not_touched(foreign: Foreign) -> None:
    path = foreign.directory / "q.sock"
    pid = foreign.start(*qmp(path), ready=path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.recv(1000)
        for _ in range(3):
            row = foreign.row(pid)
            assert (row["state"], row["monitor"]) == ("running", "held")
            assert row["monitor_holder"]["pid"] == os.getpid()
            assert "python" in row["monitor_holder"]["program"]
        refused = foreign.home("-c", "lock.timeout=1s", "pause", f"pid:{pid}")
        assert refused.rc == 6
        assert f"(pid {os.getpid()})" in refused.err
        # Nobody waits in its queue, and the client is served as before.
        assert ProcFS().monitor_use(pid, str(path)) == (True, 0)
        client.sendall(b'{"execute":"qmp_capabilities"}')
        assert b"return" in client.recv(1000)
    until(lambda: foreign.row(pid)["monitor"] == "free")


@pytest.mark.parametrize(
    ("args", "word", "reason"),
    [
        ((), "none", "it was started without one"),
        (("-monitor", "stdio"), "none", "its only monitor is on its stdio"),
        (("-monitor", "unix:m,server,nowait"), "hmp", "HMP at m"),
        (("-qmp", "pty"), "unreachable", "its monitor is on its pty"),
        (
            ("-qmp-pretty", "unix:p,server=on,wait=off"),
            "unreachable",
            "its monitor is for people (pretty)",
        ),
        (
            ("-qmp", "telnet:127.0.0.1:{port},server,nowait"),
            "unreachable",
            "its monitor talks telnet",
        ),
    ],
)
def test_what_can_not_be_talked_to_says_why(
    foreign: Foreign, args: tuple[str, ...], word: str, reason: str
) -> None:
    port = free_port()
    pid = foreign.start(*(each.format(port=port) for each in args))
    row = foreign.row(pid)
    assert (row["monitor"], row["monitor_reason"]) == (word, reason)
    assert (row["state"], row["run_state"]) == ("running", None)
    refused = foreign.home("disk", "list", f"pid:{pid}")
    assert refused.rc == 4
    assert reason in refused.err
    assert "-qmp" in refused.err or word == "unreachable"
    killed = foreign.home("kill", f"pid:{pid}")
    assert killed.rc == 0, killed.err


def test_what_listens_and_is_no_monitor_is_unchanged(
    foreign: Foreign,
) -> None:
    """A connect would pause the guest, or end QEMU (design, rule 1)."""
    directory = foreign.directory
    disk = directory / "d.raw"
    disk.write_bytes(bytes(1 << 20))
    gdb = free_port()
    common = (
        *("-serial", "unix:serial,server=on,wait=off"),
        *("-vnc", "unix:vnc"),
        *("-gdb", f"tcp:127.0.0.1:{gdb}"),
        *("-blockdev", f"file,node-name=d,filename={disk}"),
        *("-object", "secret,id=s,data=x"),
    )
    machine = (binary(), "-machine", "q35", "-accel", "tcg", "-m", "32")
    path = directory / "q.sock"
    runs = foreign.start(*common, *qmp(path), program=machine, ready=path)
    for command in (
        '{"execute":"nbd-server-start","arguments":{"addr":{"type":"unix",'
        f'"data":{{"path":"{directory}/nbd"}}}}}}}}',
        '{"execute":"block-export-add","arguments":{"type":"nbd","id":"e",'
        '"node-name":"d"}}',
    ):
        assert "return" in foreign_talk(path, command), command
    other = directory / "in.sock"
    waits = foreign.start(
        *("-incoming", f"unix:{directory}/incoming"),
        *qmp(other),
        program=(*machine, "-display", "none"),
        ready=other,
    )

    def seen() -> list[tuple[str, str, str]]:
        rows = foreign.home(
            "list", f"pid:{runs}", f"pid:{waits}", "-f", "json"
        ).json
        return [
            (row["state"], row["run_state"], row["monitor"]) for row in rows
        ]

    expected = [("running", "running", "free"), ("busy", "inmigrate", "free")]
    for _ in range(10):
        assert seen() == expected
    assert '"e"' in foreign_talk(path, '{"execute":"query-block-exports"}')
    table = Path(f"/proc/{runs}/net/unix").read_text()
    for name in ("serial", "vnc", f"{directory}/nbd"):
        rows = [line for line in table.splitlines() if line.endswith(name)]
        assert rows
        # Only the one that listens: nobody has connected, or waits to.
        assert {line.split()[5] for line in rows} == {"01"}, name


def test_two_with_one_name(foreign: Foreign) -> None:
    directory = foreign.directory
    pids = []
    for number in (1, 2):
        path = directory / f"q{number}.sock"
        pids.append(foreign.start(*qmp(path), "-name", TWIN, ready=path))
    refused = foreign.home("pause", TWIN)
    assert refused.rc == 3
    for pid in pids:
        assert f"pid:{pid} (hand:{TWIN})" in refused.err
    both = foreign.home("pause", *(f"pid:{pid}" for pid in pids), "-f", "json")
    assert both.rc == 0, both.err
    assert [row["code"] for row in both.json] == [0, 0]


def test_an_instance_wins_its_name_and_commands_refuse(
    foreign: Foreign,
) -> None:
    home = foreign.home
    path = foreign.directory / "q.sock"
    pid = foreign.start(*qmp(path), "-name", WEB, ready=path)
    assert home("start", WEB).rc == 4
    for words in (
        ("delete", WEB, "--yes"),
        ("edit", WEB),
        ("clone", WEB, "b"),
        ("rename", WEB, "b"),
        ("set", WEB, "machine.cpus=2"),
        ("log", WEB),
        ("console", WEB),
        ("save", WEB),
    ):
        refused = home(*words)
        assert refused.rc == 4, (words, refused)
        assert "no instance of yours" in refused.err
    made = home("create", WEB, "--disk", "1M", "--accel", "tcg")
    assert made.rc == 0, made.err
    assert home("show", WEB, "-f", "json").json["origin"] == "ours"
    assert home("show", f"ours:{WEB}", "-f", "json").json["origin"] == "ours"
    assert home("show", f"hand:{WEB}", "-f", "json").json["pid"] == pid
    assert home("start", WEB).rc == 0
    mine = home("show", WEB, "-f", "json").json["pid"]
    assert home("show", f"pid:{mine}", "-f", "json").json["origin"] == "ours"
    assert home("quit", WEB).rc == 0
    assert ProcFS().process(pid)


def test_shutdown_of_a_guest_that_does_not_hear(foreign: Foreign) -> None:
    path = foreign.directory / "q.sock"
    pid = foreign.start(*qmp(path), ready=path)
    asked = foreign.home("shutdown", f"pid:{pid}", "--timeout", "1s")
    assert asked.rc == 7
    assert "it still runs" in asked.err
    forced = foreign.home(
        "shutdown", f"pid:{pid}", "--timeout", "1s", "--force", "-f", "json"
    )
    assert forced.rc == 0, forced.err
    assert forced.json[0]["result"]["by"] == "quit"
    assert ProcFS().process(pid) is None
