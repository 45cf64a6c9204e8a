"""A VM without a guest: what one would do to its disks, qemu-io(1) does."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

from qemu_cli.proc import ProcFS, send_signal, wait_exit
from qemu_cli.testing.home import QemuHome

TIMEOUT_S = 60.0

#: What QEMU calls a device that has no id of ours.
_QDEVS = {"nvram": "system.flash1"}


class BareVM:
    """A VM in a home of its own."""

    def __init__(self, home: QemuHome, name: str) -> None:
        self.home = home
        self.name = name
        self.paths = home.paths.instance(name)

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Tell QEMU something, on a monitor that nobody needs."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(str(self.paths.follower_sockets[1]))
            stream = client.makefile("rw")
            for name, values in (
                ("qmp_capabilities", {}),
                (command, arguments),
            ):
                message = {"execute": name, "arguments": values, "id": name}
                stream.write(json.dumps(message) + "\n")
            stream.flush()
            for line in stream:
                reply = json.loads(line)
                if reply.get("id") == command:
                    assert "error" not in reply, reply
                    return reply["return"]
        raise AssertionError("QEMU has ended")

    def as_guest(self, command: str, disk: str = "disk0") -> str:
        """Read or write as the guest of a running VM does; what it says."""
        said = self.paths.qemu_log.stat().st_size
        disk = _QDEVS.get(disk, disk)
        for block in self.qmp("query-block"):
            qdev = block.get("qdev", "")
            if disk in qdev.split("/"):
                line = f'qemu-io -d {qdev} "{command}"'
                self.qmp("human-monitor-command", **{"command-line": line})
                with self.paths.qemu_log.open() as stream:
                    stream.seek(said)
                    return stream.read()
        raise AssertionError(f"there is no {disk}")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Its QEMU is under SIGSTOP meanwhile."""
        with self._pidfd() as pidfd:
            send_signal(pidfd, signal.SIGSTOP)
            try:
                yield
            finally:
                send_signal(pidfd, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL for its QEMU."""
        with self._pidfd() as pidfd:
            send_signal(pidfd, signal.SIGKILL)
            wait_exit(pidfd, TIMEOUT_S)

    @contextlib.contextmanager
    def _pidfd(self) -> Iterator[int]:
        procfs = ProcFS()
        process = procfs.process(int(self.paths.pid_file.read_text()))
        assert process is not None
        pidfd = procfs.open_pidfd(process)
        try:
            yield pidfd
        finally:
            os.close(pidfd)
