"""A raw client of the guest agent: a socket, JSON, and nothing else.

::

    python raw_agent.py SOCKET exec PROGRAM [ARGUMENT…]
    python raw_agent.py SOCKET up FILE PATH
    python raw_agent.py SOCKET down PATH FILE

One thing after the other, 1 MiB at a time: what a script of twenty lines
does, and the fastest size of those tried.
"""

import base64
import json
import secrets
import socket
import sys
import time
from pathlib import Path
from typing import Any

CHUNK = 1 << 20


class Client:
    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(address)
        self._stream = self._socket.makefile("rb")
        number = secrets.randbelow(1 << 30)
        self._socket.sendall(b"\xff")
        self._send("guest-sync-delimited", id=number)
        while self._reply().get("return") != number:
            pass

    def ask(self, command: str, **arguments: Any) -> Any:
        self._send(command, **arguments)
        return self._reply()["return"]

    def _send(self, command: str, **arguments: Any) -> None:
        message = {"execute": command, "arguments": arguments}
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _reply(self) -> Any:
        return json.loads(self._stream.readline().rpartition(b"\xff")[2])


def execute(client: Client, argv: list[str]) -> int:
    arguments = {"path": argv[0], "arg": argv[1:], "capture-output": True}
    pid = client.ask("guest-exec", **arguments)["pid"]
    while not (status := client.ask("guest-exec-status", pid=pid))["exited"]:
        time.sleep(0.005)
    sys.stdout.buffer.write(base64.b64decode(status.get("out-data", "")))
    return int(status["exitcode"])


def up(client: Client, source: str, path: str) -> None:
    handle = client.ask("guest-file-open", path=path, mode="w")
    with Path(source).open("rb") as stream:
        while data := stream.read(CHUNK):
            text = base64.b64encode(data).decode()
            client.ask("guest-file-write", handle=handle, **{"buf-b64": text})
    client.ask("guest-file-close", handle=handle)


def down(client: Client, path: str, target: str) -> None:
    handle = client.ask("guest-file-open", path=path, mode="r")
    with Path(target).open("wb") as stream:
        while True:
            got = client.ask("guest-file-read", handle=handle, count=CHUNK)
            stream.write(base64.b64decode(got["buf-b64"]))
            if got["eof"]:
                break
    client.ask("guest-file-close", handle=handle)


def main() -> int:
    _, address, what, *words = sys.argv
    client = Client(address)
    if what == "exec":
        return execute(client, words)
    {"up": up, "down": down}[what](client, *words)
    return 0


if __name__ == "__main__":
    sys.exit(main())
