"""Ask many monitors at once whether they answer, and in which run state.

One question costs 0.1 ms of CPU: greeting, ``qmp_capabilities`` and
``query-status`` (docs/interop/qmp-spec, qapi/run-state.json) over plain
sockets and one selector.  ``qemu list`` pays for importing this module at
each run, so it has nothing but sockets, selectors and json.

What a monitor says is not trusted: whoever sends more than
:data:`ANSWER_MAX` bytes, or no JSON, is ``garbage``.
"""

import errno
import json
import selectors
import socket
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from qemu_cli.qmp.address import parse, peer_pid

if TYPE_CHECKING:
    from qemu_cli.qmp.trace import Trace

#: The greeting and two replies have 300 bytes; events may come between.
ANSWER_MAX = 1 << 20

_REACH = {
    errno.EAGAIN: "busy",
    errno.ENOENT: "gone",
    errno.ECONNREFUSED: "gone",
}

_CLOSED = "it closed the connection"

# All at once: QEMU takes them in order, and a round trip is saved.
_QUESTION = (
    b'{"execute":"qmp_capabilities","id":1}\n'
    b'{"execute":"query-status","id":2}\n'
)


#: A question that changes nothing: a command and its arguments.
Question = tuple[str, dict[str, Any]]


class Target(NamedTuple):
    """Who is asked."""

    address: str
    pid: int | None = None  # the process that must answer, if known
    sock: socket.socket | None = None  # connected already; closed by us
    questions: tuple[Question, ...] = ()  # that are asked besides


class Answer(NamedTuple):
    """What was found; ``reach`` says how far the talk came.

    ========  =========================================================
    free      it answered; ``run_state`` and ``version`` are set
    busy      another client holds the monitor, or its queue is full
    stuck     it greeted, but QEMU's main loop is silent
    gone      nobody listens, or it ended before it answered
    stranger  another process than the expected one answers
    denied    we may not connect
    garbage   what answers does not speak QMP
    ========  =========================================================

    :param replies: to the further questions, in their order; None: QEMU
        refused that one
    """

    reach: str
    run_state: str | None = None
    version: tuple[int, int, int] | None = None
    detail: str = ""
    replies: tuple[Any, ...] = ()


def probe(
    targets: Iterable[Target],
    timeout_s: float = 1.0,
    trace: "Trace | None" = None,
) -> list[Answer]:
    """Ask all targets at once; what a target does raises nothing.

    :param targets: each is asked before the next one is taken, so that
        one can answer while the caller still looks for others
    :param timeout_s: for all of them together, when all are asked
    :return: one answer a target, in the same order
    """
    talks: list[Talk] = []
    try:
        with selectors.DefaultSelector() as selector:
            for target in targets:
                talk = Talk(target, trace)
                talks.append(talk)
                if talk.connect():
                    selector.register(talk.sock, selectors.EVENT_READ, talk)
            deadline = time.monotonic() + timeout_s
            while selector.get_map():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    break
                for key, _ in selector.select(left_s):
                    # Closed later: QEMU would be busy with our leaving
                    # while others still have to answer.
                    if not key.data.read():
                        selector.unregister(key.fileobj)
        return [talk.answer or talk.silence() for talk in talks]
    finally:
        for talk in talks:
            talk.sock.close()


class Talk:
    """One target's connection, and how far it has come.

    For :func:`probe`, and for who has a loop of his own: :meth:`connect`
    once, then :meth:`read` whenever ``sock`` is readable, until one of them
    is false or the time is over.
    """

    def __init__(self, target: Target, trace: "Trace | None" = None) -> None:
        self._target = target
        self._trace = trace
        self._connected = target.sock is not None
        self._family, self._address = parse(target.address)
        self.sock = target.sock or socket.socket(self._family)
        self.sock.setblocking(False)
        self.answer: Answer | None = None
        self._version: tuple[int, int, int] | None = None
        self._asked = False
        self._rest = b""
        self._size = 0
        self._status = ""
        self._replies: list[Any] = []

    def connect(self) -> bool:
        """Connect; false: there is an answer already."""
        try:
            if not self._connected:
                self.sock.connect(self._address)
        except OSError as error:
            # TCP: refused or not, the socket becomes readable.
            if error.errno == errno.EINPROGRESS:
                return True
            return self._failed(error)
        pid = self._target.pid
        if pid is not None and self._family == socket.AF_UNIX:
            peer = peer_pid(self.sock)
            if peer != pid:
                return self._end("stranger", f"pid {peer} listens there")
        # Before the greeting: QEMU wakes up once for all, not twice.
        return self._ask()

    def read(self) -> bool:
        """Take what has come; false: the talk is over."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return True
        except OSError as error:
            return self._failed(error)
        if not data:
            return self._end("gone", _CLOSED)
        self._size += len(data)
        if self._size > ANSWER_MAX:
            return self._end("garbage", "it talks without end")
        *lines, self._rest = (self._rest + data).split(b"\n")
        return all(self._heard(line) for line in lines if line.strip())

    def silence(self) -> Answer:
        """Say what it means that the time is over."""
        if self._version is not None:
            return Answer("stuck", None, self._version, "greets, then silent")
        try:
            self.sock.getpeername()
        except OSError:
            return Answer("gone", detail="it can't be reached")
        if self._rest:
            return Answer("garbage", detail="its greeting is cut off")
        return Answer("busy", detail="no greeting: another client is served")

    def _heard(self, line: bytes) -> bool:
        if self._trace:
            self._trace.received(self._target.address, line)
        try:
            message = json.loads(line)
            if self._version is None:
                if "event" in message:  # meant for the client before us
                    return True
                # TypeError, KeyError: JSON, but no greeting.
                qemu = message["QMP"]["version"]["qemu"]
                self._version = (
                    int(qemu["major"]),
                    int(qemu["minor"]),
                    int(qemu["micro"]),
                )
                return self._asked or self._ask()
            number = message.get("id", 0)
            if number < 2:
                return True
            if number == 2:
                self._status = str(message["return"]["status"])
            else:
                self._replies.append(message.get("return"))
            if len(self._replies) < len(self._target.questions):
                return True
            self.answer = Answer(
                "free",
                self._status,
                self._version,
                replies=tuple(self._replies),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return self._end("garbage", f"it said {line[:60]!r}")
        except RecursionError:
            return self._end("garbage", "its message is nested too deeply")
        return False

    def _ask(self) -> bool:
        self._asked = True
        text = _QUESTION
        for number, (command, arguments) in enumerate(
            self._target.questions, start=3
        ):
            message = {"execute": command, "arguments": arguments}
            text += json.dumps({**message, "id": number}).encode() + b"\n"
        if self._trace:
            for line in text.splitlines():
                self._trace.sent(self._target.address, line)
        try:
            self.sock.send(text)
        except OSError as error:
            return self._failed(error)
        return True

    def _failed(self, error: OSError) -> bool:
        if error.errno in (errno.ECONNRESET, errno.EPIPE):
            # The same as an end, but for what it had not read of ours.
            return self._end("gone", _CLOSED)
        reach = _REACH.get(error.errno or 0, "denied")
        return self._end(reach, error.strerror or str(error))

    def _end(self, reach: str, detail: str) -> bool:
        self.answer = Answer(reach, None, self._version, detail)
        return False
