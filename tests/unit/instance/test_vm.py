"""vm: every state, from files, a fake /proc and a fake probe."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from qemu_cli.instance import looking
from qemu_cli.instance.pid_file import read_pid
from qemu_cli.instance.vm import ALIVE, VM
from qemu_cli.paths import InstancePaths, Paths
from qemu_cli.proc import ProcFS
from qemu_cli.qmp.probe import Answer, Target
from qemu_cli.steps import Plan, Remove
from qemu_cli.steps.runner import Journal

PID = 4711
BOOT_S = 1_700_000_000
NET_UNIX = "Num       RefCount Protocol Flags    Type St Inode Path\n"
SERVED = "0: 00000003 00000000 00000000 0001 03 101 {path}\n"
WAITING = "0: 00000002 00000000 00000000 0001 02     0 {path}\n"


class Host:
    """A host with one instance, ``web``."""

    def __init__(self, root: Path, paths: Paths) -> None:
        self.root = root
        self.paths = paths
        self.web = paths.instance("web")
        self.web.directory.mkdir(parents=True)
        self.web.definition.write_text("")
        self.web.runtime.mkdir(parents=True)
        root.mkdir()
        (root / "stat").write_text(f"cpu 1 2\nbtime {BOOT_S}\n")
        (root / "uptime").write_text("1000 2000\n")
        self.asked: list[Target] = []

    def process(self, *argv: str, state: str = "S", pid: int = PID) -> None:
        directory = self.root / str(pid)
        (directory / "ns").mkdir(parents=True)
        (directory / "net").mkdir()
        fields = [state, *["0"] * 18, "5000", *["0"] * 30]
        stat = f"{pid} (qemu-system) x86) {' '.join(fields)}\n"
        (directory / "stat").write_text(stat)
        (directory / "cmdline").write_bytes(
            b"".join(os.fsencode(word) + b"\0" for word in argv)
        )
        (directory / "ns" / "net").symlink_to("net:[1]")
        (directory / "net" / "unix").write_text(NET_UNIX)

    def sockets(self, text: str) -> None:
        path = self.root / str(PID) / "net" / "unix"
        path.write_text(NET_UNIX + text)

    def start(self, *more: str, state: str = "S") -> None:
        self.web.pid_file.write_text(f"{PID}\n")
        self.process(
            *("qemu-system-x86_64", "-pidfile", str(self.web.pid_file)),
            *more,
            state=state,
        )

    def look(self, answer: Answer | None = None) -> VM:
        """Look at it; without an answer nobody may be asked."""

        def probe(targets: Iterable[Target]) -> list[Answer]:
            answers = []
            for target in targets:
                self.asked.append(target)
                assert answer, f"asked {target}"
                answers.append(answer)
            return answers

        (found,) = looking.look(self.paths, ["web"], ProcFS(self.root), probe)
        return found


@pytest.fixture
def host(tmp_path: Path, paths: Paths) -> Host:
    return Host(tmp_path / "proc", paths)


def answered(run_state: str) -> Answer:
    return Answer("free", run_state, (7, 2, 22))


def test_stopped_and_why(host: Host) -> None:
    found = host.look()
    assert (found.state, found.reason) == ("stopped", "")
    assert not found.alive
    event = {"event": "SHUTDOWN", "data": {"reason": "guest-shutdown"}}
    host.web.events_out.write_text(json.dumps(event) + "\n")
    assert host.look().reason == "guest-shutdown"
    host.web.saved_facts.write_text("{}")
    assert host.look().reason == "saved"


@pytest.mark.parametrize(
    ("run_state", "state", "reason"),
    [
        ("running", "running", ""),
        ("paused", "paused", ""),
        ("prelaunch", "paused", "prelaunch"),
        ("io-error", "paused", "io-error"),
        ("guest-panicked", "paused", "guest-panicked"),
        ("internal-error", "paused", "internal-error"),
        ("watchdog", "paused", "watchdog"),
        ("shutdown", "paused", "shutdown"),
        ("postmigrate", "paused", "postmigrate"),
        ("suspended", "paused", "suspended"),
        ("inmigrate", "busy", "inmigrate"),
        ("save-vm", "busy", "save-vm"),
        ("restore-vm", "busy", "restore-vm"),
        ("finish-migrate", "busy", "finish-migrate"),
        ("colo", "busy", "colo"),
    ],
)
def test_run_states(
    host: Host, run_state: str, state: str, reason: str
) -> None:
    host.start()
    found = host.look(answered(run_state))
    assert (found.state, found.reason) == (state, reason)
    assert found.run_state == run_state
    assert found.version == (7, 2, 22)
    assert found.state in ALIVE
    assert found.process is not None
    assert found.process.pid == PID
    assert host.asked == [Target(str(host.web.probe_socket), PID)]


def test_stopped_by_a_signal_is_not_asked(host: Host) -> None:
    host.start(state="T")
    found = host.look()
    assert found.state == "unresponsive"
    assert "SIGSTOP" in found.reason
    assert found.alive


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (Answer("busy", detail="held"), "busy", "held"),
        (Answer("stuck", detail="silent"), "unresponsive", "silent"),
        (
            Answer("gone"),
            "unresponsive",
            "QEMU runs, but its sockets are gone",
        ),
        (Answer("stranger", detail="pid 9"), "unresponsive", "pid 9"),
        (Answer("denied", detail="no"), "unresponsive", "no"),
        (Answer("garbage", detail="noise"), "unresponsive", "noise"),
    ],
)
def test_no_good_answer(
    host: Host, answer: Answer, state: str, reason: str
) -> None:
    host.start()
    found = host.look(answer)
    assert (found.state, found.reason) == (state, reason)
    assert found.reach == answer.reach


def under_way(paths: InstancePaths, title: str) -> None:
    Journal(paths.journal).begin(Plan(title, (Remove("/x"),)))


@pytest.mark.parametrize("reach", ["stuck", "gone", "busy"])
def test_starting(host: Host, reach: str) -> None:
    host.start()
    under_way(host.web, "start web")
    assert host.look(Answer(reach)).state == "starting"
    assert host.look(answered("running")).state == "running"


def test_a_change_under_way_keeps_it_busy(host: Host) -> None:
    host.start()
    under_way(host.web, "snapshot create web s1")
    for reach in ("stuck", "busy"):
        found = host.look(Answer(reach))
        assert found.state == "busy"
        assert found.reason == "snapshot create web s1"
    assert host.look(Answer("gone")).state == "unresponsive"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"title": 7}\n'])
def test_a_damaged_journal_says_nothing(host: Host, content: bytes) -> None:
    host.start()
    host.web.journal.parent.mkdir()
    host.web.journal.write_bytes(content)
    found = host.look(Answer("stuck", detail="silent"))
    assert found.state in ("unresponsive", "busy")


def test_the_next_free_monitor_is_asked(host: Host) -> None:
    host.start()
    probe, first = host.web.probe_socket, host.web.follower_sockets[0]
    host.sockets(SERVED.format(path=probe))
    assert host.look(answered("running")).state == "running"
    host.sockets(SERVED.format(path=probe) + WAITING.format(path=first))
    host.look(answered("running"))
    assert [target.address for target in host.asked] == [
        str(first),
        str(host.web.follower_sockets[1]),
    ]


def test_when_all_are_held_nobody_is_asked(host: Host) -> None:
    host.start()
    monitors = (host.web.probe_socket, *host.web.follower_sockets)
    host.sockets("".join(SERVED.format(path=path) for path in monitors))
    found = host.look()
    assert (found.state, found.reach) == ("busy", "busy")
    assert found.reason == "all its monitors are in use"


def test_started_by_hand_it_has_its_sockets_beside_its_disks(
    host: Host,
) -> None:
    socket = host.web.directory / "probe.sock"
    host.start("-chardev", f"socket,id=probe,path={socket},server=on")
    found = host.look(answered("running"))
    assert found.state == "running"
    assert found.monitors.probe == str(socket)
    assert host.asked == [Target(str(socket), PID)]
    assert found.paths.definition == host.web.definition


def test_crashed(host: Host) -> None:
    host.web.pid_file.write_text(f"{PID}\n")
    found = host.look()
    assert (found.state, found.reason) == (
        "crashed",
        "QEMU was killed or died",
    )
    os.utime(host.web.pid_file, (BOOT_S - 60, BOOT_S - 60))
    assert host.look().reason == "the host went down"


def test_a_pid_that_is_used_again_is_somebody_else(host: Host) -> None:
    host.web.pid_file.write_text(f"{PID}\n")
    other = host.paths.instance("other").pid_file
    host.process("qemu-system-x86_64", "-pidfile", str(other))
    found = host.look()
    assert found.state == "crashed"
    assert found.process is None


def test_a_zombie_has_ended(host: Host) -> None:
    host.start(state="Z")
    assert host.look().state == "crashed"


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"x", b"-1", b"4 7", b"\xff\0", b"9" * 5000, b"0", b"1e3"],
)
def test_garbage_in_the_pid_file(host: Host, content: bytes) -> None:
    host.web.pid_file.write_bytes(content)
    assert host.look().state == "crashed"


def test_pid_files(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    assert read_pid(path) == (None, False)
    path.write_text(" 4194304\n")
    assert read_pid(path) == (4194304, True)
    path.write_text("٤٧")
    assert read_pid(path) == (None, True)
    assert read_pid(tmp_path) == (None, False)


def test_broken(host: Host) -> None:
    host.web.definition.unlink()
    found = host.look()
    assert found.state == "broken"
    assert found.reason == f"{host.web.definition} is missing"


def test_running_without_its_directory(host: Host) -> None:
    host.start()
    host.web.probe_socket.write_text("")
    for path in host.web.directory.iterdir():
        path.unlink()
    host.web.directory.rmdir()
    found = host.look(answered("running"))
    assert found.state == "running"
    assert found.process is not None
    (host.root / str(PID) / "cmdline").write_bytes(b"qemu-system-x86_64\0")
    assert host.look().state == "broken"


def test_running_without_its_definition_only(host: Host) -> None:
    host.start()
    host.web.definition.unlink()
    assert host.look(answered("running")).state == "running"


def test_many_are_asked_at_once_and_keep_their_order(host: Host) -> None:
    asked = []

    def probe(targets: Iterable[Target]) -> list[Answer]:
        asked.append(len(list(targets)))
        return [answered("running"), answered("paused")]

    for number, name in enumerate(("a", "b", "c"), start=1):
        paths = host.paths.instance(name)
        paths.directory.mkdir()
        paths.definition.write_text("")
        if name != "b":
            paths.pid_file.write_text(str(number))
            argv = ("qemu-system-x86_64", "-pidfile", str(paths.pid_file))
            host.process(*argv, pid=number)
    found = looking.look(host.paths, ["c", "b", "a"], ProcFS(host.root), probe)
    assert [(vm.name, vm.state) for vm in found] == [
        ("c", "running"),
        ("b", "stopped"),
        ("a", "paused"),
    ]
    assert asked == [2]
