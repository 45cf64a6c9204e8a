"""The only reader of /proc.

Pids are reused, so a process is a pid *and* its start time
(:class:`Process`), and a signal goes through a pidfd.
The format is that of proc(5).
"""

# ruff: noqa: PTH115, PTH116, PTH119, PTH208
# A Path for each of some hundred processes costs more than the look itself.

import functools
import os
import re
import select
import signal
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import NotFoundError, StateError
from qemu_cli.proc.sockets import (
    CONNECTED,
    WAITING,
    UnixSocket,
    parse_unix,
)

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """A process, as it was when it was looked at."""

    pid: int
    start_time: int  # clock ticks since boot, field 22 of stat
    state: str  # one letter of proc(5): R S D T t …
    argv: tuple[str, ...]

    @property
    def stopped(self) -> bool:
        """SIGSTOP or a debugger holds it: it answers nobody."""
        return self.state in "Tt"


class OpenFile(NamedTuple):
    """A file or block device that a process has open."""

    process: Process
    file: tuple[int, int]  # see file_id()
    writable: bool


class ProcFS:
    """One look at the host.

    Socket tables, for each network namespace, and the time are read once
    and kept: make a new object for a new look.

    :param root: the mount point of procfs
    """

    def __init__(self, root: Path = Path("/proc")) -> None:
        self.root = str(root)
        self._sockets: dict[str, dict[str, list[UnixSocket]]] = {}
        self._inodes: dict[int, dict[int, UnixSocket]] = {}

    def process(self, pid: int) -> Process | None:
        """Look at one process.

        :return: None if there is none, or it is a zombie: it has ended
        """
        stat = self._stat(pid)
        if stat is None or stat[0] in "ZX":
            return None
        try:
            argv = self._read(pid, "cmdline")
        except OSError:
            return None
        return Process(pid, int(stat[19]), stat[0], _words(argv))

    def processes(self, pattern: re.Pattern[str]) -> list[Process]:
        """Find processes by the name of their program.

        :param pattern: must match the whole base name of argv[0] or,
            where we may see it, of the executable
        """
        found = []
        for pid in self._pids():
            try:
                argv0 = self._read(pid, "cmdline").split(b"\0", 1)[0]
            except OSError:
                continue
            # Kernel threads have no argv.
            if argv0 and (
                pattern.fullmatch(os.path.basename(os.fsdecode(argv0)))
                or pattern.fullmatch(self.executable_name(pid))
            ):
                process = self.process(pid)
                if process:
                    found.append(process)
        return sorted(found)

    def boot_time_s(self) -> float:
        """When the host started, in seconds since the epoch."""
        stat = Path(self.root, "stat").read_text()
        return float(stat.split("btime ", 1)[1].split(None, 1)[0])

    def boot_id(self) -> str:
        """What is different after each start of the host."""
        path = Path(self.root, "sys/kernel/random/boot_id")
        return path.read_text().strip()

    def uptime_s(self, process: Process) -> float:
        """How long the process has been running."""
        return max(0.0, self._host_s - process.start_time / TICKS_PER_S)

    @functools.cached_property
    def _host_s(self) -> float:
        return float(Path(self.root, "uptime").read_text().split()[0])

    def cpu_s(self, process: Process) -> float:
        """CPU time of all its threads, user and system.

        :raise NotFoundError: it has ended
        """
        stat = self._stat_of(process)
        return (int(stat[11]) + int(stat[12])) / TICKS_PER_S

    def rss_bytes(self, process: Process) -> int:
        """Memory of the host that it occupies now (resident set size).

        :raise NotFoundError: it has ended
        """
        return int(self._stat_of(process)[21]) * PAGE_BYTES

    def memory_bytes(self, process: Process) -> int:
        """What it holds in memory and in swap, huge pages included.

        :raise NotFoundError: it has ended
        """
        try:
            status = self._read(process.pid, "status")
        except OSError:
            raise NotFoundError(f"process {process.pid} has ended") from None
        sizes = re.findall(
            rb"^(?:VmRSS|VmSwap|HugetlbPages):\s+(\d+) kB$", status, re.M
        )
        return sum(map(int, sizes)) * 1024

    def unix_sockets(self, pid: int) -> list[UnixSocket]:
        """All named sockets in the network namespace of a process.

        Empty when the process has ended or may not be looked at.
        """
        table = self._socket_table(pid)
        return [one for sockets in table.values() for one in sockets]

    def unix_at(self, pid: int, path: str) -> list[UnixSocket]:
        """The sockets of that name in a process's network namespace."""
        return self._socket_table(pid).get(path, [])

    def unix_socket(self, pid: int, inode: int) -> UnixSocket | None:
        """The named socket of that inode in its network namespace."""
        table = self._socket_table(pid)
        if id(table) not in self._inodes:
            self._inodes[id(table)] = {
                one.inode: one for few in table.values() for one in few
            }
        return self._inodes[id(table)].get(inode)

    def listening(self) -> set[str]:
        """The paths in our network namespace that somebody listens on."""
        return {
            one.path for one in self.unix_sockets(os.getpid()) if one.listening
        }

    def monitor_use(self, pid: int, path: str) -> tuple[bool, int]:
        """Tell without connecting who is at a listening socket.

        :param pid: a process in the socket's network namespace
        :param path: as it was bound
        :return: whether a client is served, and how many wait.  A client
            that waited and gave up counts until the server gets to it.
        """
        sockets = self._socket_table(pid).get(path, ())
        waiting = sum(one.state == WAITING for one in sockets)
        return any(
            one.state == CONNECTED and not one.listening for one in sockets
        ), waiting

    def holder(self, path: str) -> Process | None:
        """Find the client that a listening socket serves.

        :return: None when nobody is served, or it is another user's
        """
        from qemu_cli.proc.sock_diag import peer_inode

        self._sockets.clear()
        self._inodes.clear()
        for one in self._socket_table(os.getpid()).get(path, ()):
            if one.state == CONNECTED and not one.listening:
                peer = peer_inode(one.inode)
                if peer and (owner := self.owners({peer}).get(peer)):
                    return owner
        return None

    def owners(self, inodes: Collection[int]) -> dict[int, Process]:
        """Find which processes have some sockets open, in one pass."""
        wanted = {f"socket:[{inode}]": inode for inode in inodes}
        found: dict[int, Process] = {}
        for pid in self._pids() if wanted else ():
            for fd in self._fds(pid):
                try:
                    target = os.readlink(f"{self.root}/{pid}/fd/{fd}")
                except OSError:
                    continue  # closed by now
                if target in wanted and (process := self.process(pid)):
                    found[wanted[target]] = process
            if len(found) == len(wanted):
                break
        return found

    def opened(self, files: Collection[tuple[int, int]]) -> Iterator[OpenFile]:
        """Find who has some files open, as far as we may see it.

        :param files: what :func:`file_id` says of them
        """
        for pid in self._pids():
            for fd in self._fds(pid):
                try:
                    file = file_id(os.stat(f"{self.root}/{pid}/fd/{fd}"))
                    writable = file in files and self._is_writable(pid, fd)
                except OSError:
                    continue  # closed by now
                if file in files and (process := self.process(pid)):
                    yield OpenFile(process, file, writable)

    def open_pidfd(self, process: Process) -> int:
        """Open a pidfd (pidfd_open(2)) of exactly this process.

        :raise NotFoundError: it has ended; the pid may be another's now
        """
        gone = NotFoundError(f"process {process.pid} has ended")
        try:
            pidfd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            raise gone from None
        # Looked at after the pidfd is ours: the pid can't change any more.
        now = self.process(process.pid)
        if now is None or now.start_time != process.start_time:
            os.close(pidfd)
            raise gone
        return pidfd

    def _pids(self) -> list[int]:
        return [
            int(name) for name in os.listdir(self.root) if name.isdecimal()
        ]

    def _read(self, pid: int, name: str) -> bytes:
        fd = os.open(f"{self.root}/{pid}/{name}", os.O_RDONLY)
        try:
            parts = []
            while part := os.read(fd, 1 << 16):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(fd)

    def _fds(self, pid: int) -> list[str]:
        try:
            return os.listdir(f"{self.root}/{pid}/fd")
        except OSError:
            return []  # it has ended, or is another user's

    def _is_writable(self, pid: int, fd: str) -> bool:
        info = self._read(pid, f"fdinfo/{fd}")
        flags = re.search(rb"^flags:\s+([0-7]+)", info, re.M)
        return bool(flags and int(flags[1], 8) & os.O_ACCMODE)

    def _stat(self, pid: int) -> list[str] | None:
        """The fields from the third (state) on."""
        try:
            stat = self._read(pid, "stat")
        except OSError:
            return None
        # The name in parentheses may hold spaces and parentheses.
        return stat[stat.rindex(b")") + 2 :].decode().split()

    def _stat_of(self, process: Process) -> list[str]:
        stat = self._stat(process.pid)
        if stat is None or int(stat[19]) != process.start_time:
            raise NotFoundError(f"process {process.pid} has ended")
        return stat

    def executable_name(self, pid: int) -> str:
        """The base name of its program; ``""``: we may not know."""
        try:
            exe = os.readlink(f"{self.root}/{pid}/exe")
        except OSError:
            return ""
        return os.path.basename(exe.removesuffix(" (deleted)"))

    def executable(self, process: Process) -> Path | None:
        """A path to the program that it runs, though that was replaced.

        :return: None: we may not know, or it has ended
        """
        link = f"{self.root}/{process.pid}/exe"
        try:
            os.stat(link)
        except OSError:
            return None
        return Path(link)

    def _socket_table(self, pid: int) -> dict[str, list[UnixSocket]]:
        try:
            namespace = os.readlink(f"{self.root}/{pid}/ns/net")
        except OSError:
            namespace = str(pid)  # another user's: we may not see which
        if namespace not in self._sockets:
            try:
                text = self._read(pid, "net/unix")
            except OSError:
                text = b""
            self._sockets[namespace] = parse_unix(os.fsdecode(text))
        return self._sockets[namespace]


def file_id(status: os.stat_result) -> tuple[int, int]:
    """Return what all names of one file or block device share."""
    if stat.S_ISBLK(status.st_mode):
        return status.st_rdev, 0
    return status.st_dev, status.st_ino


def wait_exit(pidfd: int, timeout_s: float | None = None) -> bool:
    """Wait until a process has ended; false: it still runs."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


def send_signal(pidfd: int, number: signal.Signals) -> None:
    """Signal exactly the process that the pidfd stands for.

    :raise NotFoundError: it has ended
    :raise StateError: it is another user's
    """
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        raise NotFoundError("the process has ended") from None
    except PermissionError:
        raise StateError(
            f"{number.name} is not permitted: another user's process"
        ) from None


def _words(cmdline: bytes) -> tuple[str, ...]:
    # Each word ends with a NUL, so the last piece is no word.
    return tuple(os.fsdecode(cmdline).split("\0")[:-1])
