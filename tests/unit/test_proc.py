"""proc: on a fake tree, and on the real /proc with real processes."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qemu_cli.errors import NotFoundError
from qemu_cli.proc import (
    Process,
    ProcFS,
    send_signal,
    wait_exit,
)
from qemu_cli.proc.sock_diag import peer_inode
from qemu_cli.proc.sockets import UnixSocket

TICKS = os.sysconf("SC_CLK_TCK")

NET_UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 100 /run/a.sock
0000000000000000: 00000003 00000000 00000000 0001 03 101 /run/a.sock
0000000000000000: 00000002 00000000 00000000 0001 02     0 /run/a.sock
0000000000000000: 00000002 00000000 00000000 0001 02     0 /run/a.sock
0000000000000000: 00000003 00000000 00000000 0001 03 102
0000000000000000: 00000002 00000000 00010000 0001 01 103 @abstract
0000000000000000: 00000002 00000000 00010000 0001 01 104 /with a space
"""


class FakeTree:
    """A /proc of our own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "uptime").write_text("1000.50 2000.00\n")
        (root / "stat").write_text("cpu 1 2\nbtime 1700000000\nctxt 5\n")

    def add(
        self,
        pid: int,
        *argv: str,
        name: str = "qemu",
        state: str = "S",
        start_time: int = 5000,
        cpu: tuple[int, int] = (0, 0),
        namespace: str = "net:[1]",
        exe: str | None = None,
    ) -> Path:
        directory = self.root / str(pid)
        (directory / "ns").mkdir(parents=True)
        (directory / "net").mkdir()
        fields = ["0"] * 50
        fields[0], fields[19] = state, str(start_time)
        fields[11], fields[12] = map(str, cpu)
        stat = f"{pid} ({name}) {' '.join(fields)}\n"
        (directory / "stat").write_text(stat)
        (directory / "cmdline").write_bytes(
            b"".join(os.fsencode(word) + b"\0" for word in argv)
        )
        (directory / "ns/net").symlink_to(namespace)
        (directory / "net/unix").write_text(NET_UNIX)
        if exe:
            (directory / "exe").symlink_to(exe)
        return directory


@pytest.fixture
def tree(tmp_path):
    return FakeTree(tmp_path)


def test_a_process_is_pid_start_time_state_and_argv(tree):
    tree.add(7, "qemu", "-name", "with a space", "", start_time=123)
    assert ProcFS(tree.root).process(7) == Process(
        7, 123, "S", ("qemu", "-name", "with a space", "")
    )


@pytest.mark.parametrize("name", ["a b", "a) S 1 (b", "))((", "x\ny"])
def test_the_name_in_stat_may_hold_anything(tree, name):
    tree.add(7, "qemu", name=name, state="T", start_time=42)
    process = ProcFS(tree.root).process(7)
    assert (process.start_time, process.state) == (42, "T")
    assert process.stopped


def test_argv_that_is_not_utf8_survives(tree):
    (tree.add(7) / "cmdline").write_bytes(b"qemu\0/d/\xff\0")
    argv = ProcFS(tree.root).process(7).argv
    assert os.fsencode(argv[1]) == b"/d/\xff"


@pytest.mark.parametrize("state", ["Z", "X"])
def test_what_has_ended_is_no_process(tree, state):
    tree.add(7, "qemu", state=state)
    assert ProcFS(tree.root).process(7) is None
    assert ProcFS(tree.root).process(8) is None


def test_times(tree):
    tree.add(7, "qemu", start_time=100 * TICKS, cpu=(TICKS, 2 * TICKS))
    procfs = ProcFS(tree.root)
    process = procfs.process(7)
    assert procfs.boot_time_s() == 1700000000
    assert procfs.uptime_s(process) == pytest.approx(900.5)
    assert procfs.cpu_s(process) == 3.0
    with pytest.raises(NotFoundError):
        procfs.cpu_s(process._replace(start_time=1))


def test_processes_by_argv0_or_by_executable(tree):
    tree.add(3, "/usr/bin/qemu-system-x86_64", "-S")
    tree.add(1, "renamed", exe="/opt/qemu-system-arm (deleted)")
    tree.add(2, "bash", exe="/bin/bash")
    tree.add(4)  # a kernel thread
    tree.add(5, "qemu-system-arm", state="Z")
    found = ProcFS(tree.root).processes(re.compile("qemu-system-.*"))
    assert [process.pid for process in found] == [1, 3]


def test_unix_sockets_with_a_name(tree):
    tree.add(7, "qemu")
    sockets = ProcFS(tree.root).unix_sockets(7)
    assert [one.inode for one in sockets] == [100, 101, 0, 0, 103, 104]
    assert sockets[0] == UnixSocket(100, 1, True, "/run/a.sock")
    assert sockets[-1].path == "/with a space"
    assert ProcFS(tree.root).unix_sockets(8) == []


def test_monitor_use(tree):
    tree.add(7, "qemu")
    procfs = ProcFS(tree.root)
    assert procfs.monitor_use(7, "/run/a.sock") == (True, 2)
    assert procfs.monitor_use(7, "@abstract") == (False, 0)
    assert procfs.monitor_use(7, "/nowhere") == (False, 0)


def test_sockets_are_read_once_for_a_namespace(tree):
    for pid in (7, 8):
        tree.add(pid, "qemu")
    other = tree.add(9, "qemu", namespace="net:[2]")
    header = NET_UNIX.splitlines()[0]
    (other / "net/unix").write_text(header + "\n")
    procfs = ProcFS(tree.root)
    procfs.monitor_use(7, "/run/a.sock")
    (tree.root / "8/net/unix").unlink()
    assert procfs.monitor_use(8, "/run/a.sock") == (True, 2)
    assert procfs.monitor_use(9, "/run/a.sock") == (False, 0)


def test_real_our_own_process():
    procfs = ProcFS()
    me = procfs.process(os.getpid())
    assert me.argv[0]
    assert 0 < procfs.cpu_s(me) < procfs.uptime_s(me) * os.cpu_count()
    started = procfs.boot_time_s() + me.start_time / TICKS
    assert abs(time.time() - procfs.uptime_s(me) - started) < 5


@pytest.fixture
def sleeper():
    """A child that sleeps, and that we end."""
    child = subprocess.Popen(["sleep", "1000"])
    yield child
    child.kill()
    child.wait()


def test_real_stop_kill_and_zombie(sleeper):
    procfs = ProcFS()
    # Before exec it still is a copy of us.
    while (process := procfs.process(sleeper.pid)).argv[0] != "sleep":
        time.sleep(0.001)
    pidfd = procfs.open_pidfd(process)
    try:
        send_signal(pidfd, signal.SIGSTOP)
        while not procfs.process(sleeper.pid).stopped:
            time.sleep(0.001)
        assert not wait_exit(pidfd, 0.01)
        send_signal(pidfd, signal.SIGKILL)
        assert wait_exit(pidfd, 30)
        assert procfs.process(sleeper.pid) is None  # a zombie: not reaped
        sleeper.wait()
        with pytest.raises(NotFoundError):
            send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)
    with pytest.raises(NotFoundError):
        procfs.open_pidfd(process)


def test_real_a_reused_pid_is_another_process(sleeper):
    procfs = ProcFS()
    before = procfs.process(sleeper.pid)._replace(start_time=1)
    fds = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(NotFoundError):
        procfs.open_pidfd(before)
    assert len(list(Path("/proc/self/fd").iterdir())) == fds


CLIENT = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print("connected", flush=True)
sys.stdin.read()
"""


def test_real_holder_is_the_served_client(short_dir):
    path = str(short_dir / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(1)
        assert ProcFS().holder(path) is None
        with subprocess.Popen(
            [sys.executable, "-c", CLIENT, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as client:
            client.stdout.readline()
            procfs = ProcFS()
            assert procfs.monitor_use(os.getpid(), path) == (False, 1)
            assert procfs.holder(path) is None
            served, _ = server.accept()
            with served:
                assert procfs.holder(path).pid == client.pid
                assert procfs.monitor_use(os.getpid(), path) == (True, 0)
                client.stdin.close()
                client.wait()
                assert procfs.holder(path) is None


def test_real_peer_of_a_socketpair():
    one, other = socket.socketpair()
    with one, other:
        inode = os.fstat(one.fileno()).st_ino
        assert peer_inode(inode) == os.fstat(other.fileno()).st_ino
    assert peer_inode(inode) is None
