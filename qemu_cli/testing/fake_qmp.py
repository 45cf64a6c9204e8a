"""A QMP server that misbehaves on demand.

It listens on a unix socket, in a thread, and serves one client at a time
as QEMU does.  What it answers when it behaves is recorded from a real
QEMU; it knows no command that it was not told about::

    fake.replay(Path("tests/data/qmp/none.jsonl"))
    fake.on("query-status", {"status": "paused"})
    fake.on("stop", close=True)                 # dies instead
    fake.on("cont", raw=b'{"retu')              # cut off
    fake.on("guest-file-read", lambda arguments: …) # answers each time anew
"""

import json
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

#: What QEMU 7.2 says first.
GREETING = (
    b'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7},'
    b' "package": ""}, "capabilities": ["oob"]}}\r\n'
)


class Answer(NamedTuple):
    """What happens when a command arrives, in this order."""

    delay_s: float = 0.0
    events: Sequence[Mapping[str, Any]] = ()
    raw: bytes | None = None  # these bytes and no reply
    reply: Mapping[str, Any] | None = None  # None: no reply at all
    close: bool = False


class FakeQmp:
    """The server; use it as a context manager.

    :param path: of the socket
    :param greeting: what each client gets first; None is silence
    """

    def __init__(
        self, path: Path, *, greeting: bytes | None = GREETING
    ) -> None:
        self.path = str(path)
        self.greeting = greeting
        #: Every message that came, in order.
        self.received: list[Mapping[str, Any]] = []
        self._answers: dict[str, Answer] = {}
        self._client: socket.socket | None = None
        self._closing = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.on("qmp_capabilities", {})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing = True
        self.hang_up()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def on(
        self,
        command: str,
        result: Any = None,
        *,
        error: tuple[str, str] | None = None,
        events: Sequence[Mapping[str, Any]] = (),
        raw: bytes | None = None,
        silent: bool = False,
        close: bool = False,
        delay_s: float = 0.0,
    ) -> None:
        """Say what a command does from now on.

        :param result: the reply's ``return``, or a function that makes it
            of the command's arguments
        :param error: class and text of an error reply instead
        :param events: messages that go before the reply
        :param raw: bytes that go instead of a reply
        :param silent: no reply
        :param close: hang up afterwards; without a reply
        :param delay_s: wait before anything
        """
        reply: Mapping[str, Any] | None = {"return": result}
        if error:
            reply = {"error": {"class": error[0], "desc": error[1]}}
        if silent or close or raw is not None:
            reply = None
        self._answers[command] = Answer(delay_s, events, raw, reply, close)

    def replay(self, recording: Path) -> None:
        """Answer as a real QEMU did (one exchange a line).

        The file's first line is the greeting.
        """
        greeting, *exchanges = recording.read_text().splitlines()
        self.greeting = greeting.encode() + b"\r\n"
        for line in exchanges:
            exchange = json.loads(line)
            self._answers[exchange["sent"]["execute"]] = Answer(
                events=exchange["events"], reply=exchange["reply"]
            )

    def send(self, data: bytes | Mapping[str, Any]) -> None:
        """Say something to the client without being asked.

        Waits for a client first.
        """
        if not isinstance(data, bytes):
            data = json.dumps(data).encode() + b"\r\n"
        client = self._client
        while client is None:
            time.sleep(0.001)
            client = self._client
        client.sendall(data)

    def hang_up(self) -> None:
        """End the connection, as a QEMU that dies."""
        if self._client is not None:
            try:
                self._client.shutdown(socket.SHUT_RDWR)
            except OSError:
                self._client = None  # the client was faster

    def _serve(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self._client = client
                try:
                    self._talk(client)
                except OSError:
                    continue  # the client went away in the middle

    def _talk(self, client: socket.socket) -> None:
        if self.greeting is not None:
            client.sendall(self.greeting)
        heard = b""
        while data := client.recv(1 << 16):
            heard += data
            messages, heard = _parsed(heard)
            for message in messages:
                self.received.append(message)
                if not self._answer(message):
                    return

    def _answer(self, message: Mapping[str, Any]) -> bool:
        """Do what was scripted; false: hang up."""
        command = message.get("execute", "")
        answer = self._answers.get(command, _unknown(command))
        time.sleep(answer.delay_s)
        for event in answer.events:
            self.send(event)
        if answer.raw is not None:
            self.send(answer.raw)
        if answer.reply is not None:
            named = {"id": message["id"]} if "id" in message else {}
            reply = dict(answer.reply)
            if callable(reply.get("return")):
                reply["return"] = reply["return"](message.get("arguments"))
            self.send({**reply, **named})
        return not answer.close


def _parsed(heard: bytes) -> tuple[list[Mapping[str, Any]], bytes]:
    """Split what came into messages; no newline needs to part them.

    A 0xFF, as the guest agent is sent, forgets what stood before it.
    """
    text = heard.rpartition(b"\xff")[2].decode().lstrip()
    messages = []
    while text:
        try:
            message, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            break  # the rest has not come yet
        messages.append(message)
        text = text[end:].lstrip()
    return messages, text.encode()


def _unknown(command: str) -> Answer:
    text = f"The command {command} has not been found"
    return Answer(reply={"error": {"class": "CommandNotFound", "desc": text}})


class FakeAgent(FakeQmp):
    """A guest agent: no greeting, and ``guest-sync-delimited``.

    :param path: of the socket
    :param leftovers: what a former client's late replies look like
    """

    def __init__(self, path: Path, *, leftovers: bytes = b"") -> None:
        super().__init__(path, greeting=leftovers or None)

    def _answer(self, message: Mapping[str, Any]) -> bool:
        if message["execute"] == "guest-sync-delimited":
            if "guest-sync-delimited" in self._answers:
                return super()._answer(message)
            number = message["arguments"]["id"]
            self.send(b"\xff" + json.dumps({"return": number}).encode())
            self.send(b"\n")
            return True
        return super()._answer(message)
