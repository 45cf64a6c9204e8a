"""QEMUs that people and scripts start, without this program."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from qemu_cli.testing.home import QemuHome, Result
from qemu_cli.testing.real_qemu import binary

NONE = ("-machine", "none", "-display", "none", "-nodefaults")
TIMEOUT_S = 60.0

#: A board that boots nothing, and has no network card.
BOARD = (
    *("-accel", "tcg", "-m", "64", "-display", "none", "-nic", "none"),
    *("-vga", "std"),
)


class Foreign:
    """Starts QEMUs as people and scripts do, and ends them."""

    def __init__(self, directory: Path, home: QemuHome) -> None:
        self.directory = directory
        self.home = home
        self._stack = ExitStack()

    def start(
        self,
        *args: str,
        prefix: tuple[str, ...] = (),
        program: tuple[str, ...] | None = None,
        cwd: Path | None = None,
        ready: Path | None = None,
        stdout: Any = subprocess.DEVNULL,
        **options: Any,
    ) -> int:
        """Start one and return its pid, when a file of its is there."""
        words = program if program is not None else (binary(), *NONE)
        child = subprocess.Popen(
            [*prefix, *words, *args],
            cwd=cwd or self.directory,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            start_new_session=True,
            **options,
        )
        self._stack.callback(child.wait)
        self._stack.callback(child.kill)
        if ready:
            until(ready.exists)
        return child.pid

    def row(self, pid: int) -> dict[str, Any]:
        """What ``list`` says of one."""
        result = self.home("list", f"pid:{pid}", "-f", "json")
        assert result.rc == 0, result.err
        [row] = result.json
        assert row["pid"] == pid
        return dict(row)

    def close(self) -> None:
        self._stack.close()


class Stranger:
    """One that somebody started with disks, and with one QMP monitor."""

    def __init__(
        self, foreign: Foreign, *args: str, monitor: str = "", name: str = ""
    ) -> None:
        self.foreign = foreign
        self.home = foreign.home
        self.directory = foreign.directory
        self.socket = self.directory / "q.sock"
        self.socket.unlink(missing_ok=True)
        self.log = self.directory / "said"
        words = ("-qmp", monitor) if monitor else qmp(self.socket)
        pid_file = self.directory / "pid"
        pid_file.unlink(missing_ok=True)
        with self.log.open("w") as stdout:
            self.pid = foreign.start(
                *(*BOARD, *args, *words, "-pidfile", str(pid_file)),
                *(("-name", name) if name else ()),
                program=(binary(),),
                ready=pid_file,
                stdout=stdout,
            )
        self.ref = f"pid:{self.pid}"
        if not monitor:
            until(self._listens)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self.socket))
            except OSError:
                return False
            return b"QMP" in client.recv(1000)

    def ok(self, *words: str | Path) -> Result:
        """Run ``qemu``; it must not fail."""
        result = self.home(*words)
        assert result.rc == 0, (words, result.err)
        return result

    def json(self, *words: str) -> Any:
        """What it answers, parsed."""
        return self.ok(*words, "-f", "json").json

    def refused(self, *words: str | Path, rc: int = 4) -> str:
        """Run ``qemu``; it must refuse.  Returns why."""
        result = self.home("-c", "lock.timeout=1s", *words)
        assert result.rc == rc, (words, result)
        assert "Traceback" not in result.err
        return result.err

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Tell QEMU something, as whoever started it would."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(str(self.socket))
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

    def as_guest(self, command: str, disk: str = "virtio0") -> str:
        """Read or write as the guest does; what qemu-io says."""
        said = self.log.stat().st_size
        line = f'qemu-io {disk} "{command}"'
        self.qmp("human-monitor-command", **{"command-line": line})
        with self.log.open() as stream:
            stream.seek(said)
            return stream.read()

    def holds(
        self, pattern: int, where: str = "0 64k", disk: str = "virtio0"
    ) -> bool:
        """Whether the guest reads bytes of this value."""
        said = self.as_guest(f"read -P {pattern} {where}", disk)
        assert "bytes at" in said or "failed" in said, said
        return "verification failed" not in said

    @property
    def status(self) -> str:
        return str(self.qmp("query-status")["status"])


def image(file: Path, size: str = "8M", *, backing: Path | None = None) -> str:
    """Make a qcow2 image; returns its path."""
    words = ["qemu-img", "create", "-q", "-f", "qcow2", str(file)]
    if backing:
        words[3:3] = ["-b", str(backing), "-F", "qcow2"]
    else:
        words.append(size)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return str(file)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def qmp(path: Path, scheme: str = "unix:") -> tuple[str, str]:
    return "-qmp", f"{scheme}{path},server=on,wait=off"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def exists(pid: int) -> bool:
    """Whether a process lives, and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] != "Z"
