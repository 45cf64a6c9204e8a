"""VMs that nobody of ours started: QEMUs, and what only looks like one."""

import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from qemu_cli.proc import ProcFS
from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.real_qemu import binary
from tests.functional.until import until

NONE = ("-machine", "none", "-display", "none", "-nodefaults")
TIMEOUT_S = 60.0

#: For setpriv(1): to be root in name alone, and in no group of note.
POWERLESS = (
    *("setpriv", "--bounding-set=-all", "--inh-caps=-all"),
    *("--regid=65534", "--clear-groups"),
)
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


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

    def as_another_user(self) -> QemuHome:
        """The same home, used by somebody who may not look at others.

        That is root without its capabilities: to the kernel, what runs as
        `nobody` is another user's.
        """
        script = self.directory / "powerless"
        script.write_text(
            f"#!/bin/sh\nexec {' '.join(POWERLESS)} "
            f'{self.home.executable} "$@"\n'
        )
        script.chmod(0o755)
        home = QemuHome(self.home.directory)
        home.executable = script
        return home

    def row(self, pid: int) -> dict[str, Any]:
        """What ``list`` says of one."""
        result = self.home("list", f"pid:{pid}", "-f", "json")
        assert result.rc == 0, result.err
        [row] = result.json
        assert row["pid"] == pid
        return dict(row)

    def close(self) -> None:
        self._stack.close()


def argv_of(pid: int) -> tuple[str, ...]:
    process = ProcFS().process(pid)
    return process.argv if process else ()


def qmp(path: Path, scheme: str = "unix:") -> tuple[str, str]:
    return "-qmp", f"{scheme}{path},server=on,wait=off"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def foreign_talk(path: Path, command: str) -> str:
    """Say one thing and listen for a moment to all that is said then."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(str(path))
        client.recv(10000)
        client.sendall(b'{"execute":"qmp_capabilities"}\n')
        client.recv(1000)
        client.sendall(f"{command}\n".encode())
        told = client.recv(10000)
        client.settimeout(0.2)
        try:
            while more := client.recv(10000):
                told += more
        except TimeoutError:
            pass
        return told.decode()


#: It serves one client after the other, as QEMU does, and badly.
FAKE = """
import json, os, socket, sys
how, path = sys.argv[2], sys.argv[4]
path = path.removeprefix("unix:").partition(",")[0]
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(5)
greeting = (b'{"QMP":{"version":{"qemu":{"major":7,"minor":2,"micro":0},'
            b'"package":""},"capabilities":[]}}\\n')

def serve(client):
    if how == "garbage":
        client.sendall(b"220 hello\\n")
    if how != "mute":
        client.sendall(greeting)
    if how == "dies":
        os._exit(1)
    if how == "endless":
        for _ in range(100):
            client.sendall(b"x" * (1 << 20))
    while heard := client.recv(65536).decode().lstrip():
        while heard and how == "huge":  # no newline needs to part messages
            message, end = json.JSONDecoder().raw_decode(heard)
            heard = heard[end:].lstrip()
            is_first = message["execute"] == "qmp_capabilities"
            size = 0 if is_first else 100 << 20
            client.sendall(b'{"return": {"status": "' + b"x" * size + b'"}')
            if "id" in message:
                number = json.dumps(message["id"]).encode()
                client.sendall(b', "id": ' + number)
            client.sendall(b"}\\n")

while True:
    client, _ = server.accept()
    try:
        serve(client)
    except OSError:
        pass
    client.close()
"""
