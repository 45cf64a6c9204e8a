"""VMs with disks that nobody of ours started."""

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from qemu_cli.testing.home import Result
from qemu_cli.testing.real_qemu import binary
from tests.functional.by_hand import TIMEOUT_S, Foreign, qmp
from tests.functional.until import until

#: A board that boots nothing, and has no network card.
BOARD = (
    *("-accel", "tcg", "-m", "64", "-display", "none", "-nic", "none"),
    *("-vga", "std"),
)


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


def exists(pid: int) -> bool:
    """Whether a process lives, and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] != "Z"
