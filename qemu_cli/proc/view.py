"""The host as another process has it: its sockets, paths and namespaces.

What may not be looked at is None: ``/proc/PID/fd``, ``ns``, ``cwd`` and
``root`` of another user's process, or of one that changed its user
(ptrace(2), "Ptrace access mode checking").
"""

# ruff: noqa: PTH115, PTH118, PTH208  see the package

import functools
import os
import re
import stat

from qemu_cli.proc import ProcFS
from qemu_cli.proc.sockets import TcpSocket, UnixSocket, parse_tcp


class View:
    """One process's view; everything is read when it is asked for.

    :param procfs: the look that it belongs to
    """

    def __init__(self, procfs: ProcFS, pid: int) -> None:
        self._procfs = procfs
        self.pid = pid

    @functools.cached_property
    def sockets(self) -> dict[int, int] | None:
        """The inodes of its sockets, by file descriptor."""
        try:
            fds = os.listdir(self._file("fd"))
        except OSError:
            return None
        found = {}
        for fd in fds:
            target = self._link(f"fd/{fd}")
            if target and target.startswith("socket:["):
                found[int(fd)] = int(target[8:-1])
        return found

    @functools.cached_property
    def own(self) -> frozenset[int] | None:
        """The inodes of its sockets."""
        if self.sockets is None:
            return None
        return frozenset(self.sockets.values())

    def unix_at(self, path: str) -> list[UnixSocket]:
        """The sockets of that name in its network namespace."""
        return self._procfs.unix_at(self.pid, path)

    def unix(self, inode: int) -> UnixSocket | None:
        """The named socket of that inode."""
        return self._procfs.unix_socket(self.pid, inode)

    def tcp(self) -> list[TcpSocket]:
        """All TCP sockets of its network namespace."""
        found = []
        for name in ("net/tcp", "net/tcp6"):
            found += parse_tcp(self.text(name) or "")
        return found

    def udp(self) -> list[TcpSocket]:
        """All UDP sockets of its network namespace; the same columns."""
        found = []
        for name in ("net/udp", "net/udp6"):
            found += parse_tcp(self.text(name) or "")
        return found

    @functools.cached_property
    def shares_network(self) -> bool | None:
        """Whether its network namespace is ours."""
        return self._shares("ns/net")

    @functools.cached_property
    def shares_files(self) -> bool | None:
        """Whether an absolute path means the same to it and to us."""
        same = self._shares("ns/mnt")
        return same and self._link("root") == os.readlink("/proc/self/root")

    def path(self, path: str) -> str:
        """Return a path by which we reach what it calls so.

        Relative ones go by its working directory as it is now.
        """
        if not path.startswith("/"):
            cwd = self._link("cwd") if self.shares_files else None
            return os.path.join(cwd or self._file("cwd"), path)
        return path if self.shares_files is not False else (
            self._file("root") + path
        )  # fmt: skip

    def directory(self) -> str | None:
        """Its working directory, by the name that it has for it."""
        return self._link("cwd")

    def first_directory(self) -> str | None:
        """Where it was started, if its shell said so (``PWD``)."""
        environment = self.text("environ") or ""
        for variable in environment.split("\0"):
            if variable.startswith("PWD=/"):
                return variable[4:]
        return None

    def user_id(self) -> int | None:
        """The user that it runs as."""
        uids = re.search(r"^Uid:\s+\d+\s+(\d+)", self.text("status") or "",
                         re.MULTILINE)  # fmt: skip
        return int(uids[1]) if uids else None

    def text(self, name: str) -> str | None:
        """Read a file of its directory in /proc."""
        return read(self._file(name))

    def _shares(self, namespace: str) -> bool | None:
        theirs = self._link(namespace)
        if theirs is None:
            return None
        return theirs == os.readlink(f"/proc/self/{namespace}")

    def _link(self, name: str) -> str | None:
        try:
            return os.readlink(self._file(name))
        except OSError:
            return None

    def _file(self, name: str) -> str:
        return f"{self._procfs.root}/{self.pid}/{name}"


def read(path: str, most: int = 16 << 20) -> str | None:
    """Read a text file that is no device or FIFO, which could block.

    :return: None when it can't be read
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        parts = []
        size = 0
        while size < most and (part := os.read(fd, 1 << 16)):
            parts.append(part)
            size += len(part)
        return os.fsdecode(b"".join(parts))
    except OSError:
        return None
    finally:
        os.close(fd)
