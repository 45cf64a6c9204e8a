"""``--trace-qmp``: one tap for everything that is said on a monitor.

A line is an arrow (``→`` to QEMU, ``←`` from it), the monitor, the
milliseconds since the trace began, and the message::

    →     0.1 ms web/control {"execute": "query-status"}
    ←     0.5 ms web/control {"return": {"status": "running", …}}

Secrets never reach the tap's output.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from qemu_cli.qmp.address import short_name

#: A longer message is cut here; query-qmp-schema answers 200 KB.
LINE_MAX = 4000

HIDDEN = "<hidden>"

#: Members whose value is a secret wherever they stand: set_password,
#: change-vnc-password, guest-set-user-password (QAPI), and what is
#: written into a guest, which is often a key.
_SECRETS = frozenset({"password", "buf-b64", "input-data", "secret"})

#: In the command lines of the human monitor: `set_password vnc S`,
#: `change vnc password S`, `object_add secret,id=x,data=S`.
_HMP_SECRET = re.compile(
    r"^(?P<keep>\s*(?:set_password\s+\S+|change\s+vnc\s+password"
    r"|object_add\s+secret.*?\bdata=)\s*)(?P<secret>[^\s,].*)$"
)


def redact(message: Any) -> Any:
    """Copy a message with every secret in it replaced.

    The data of ``object-add`` is hidden for every type of object: that
    of ``secret`` is the password itself.
    """
    if isinstance(message, Mapping):
        return {
            key: HIDDEN if _is_secret(key, message) else redact(value)
            for key, value in message.items()
        }
    if isinstance(message, str):
        return _HMP_SECRET.sub(rf"\g<keep>{HIDDEN}", message)
    if isinstance(message, list | tuple):
        return [redact(item) for item in message]
    return message


def _is_secret(key: str, owner: Mapping[str, Any]) -> bool:
    return key in _SECRETS or (key == "data" and "qom-type" in owner)


class Trace:
    """The tap.

    :param write: takes one line with its newline; stderr by default
    """

    def __init__(
        self, write: Callable[[str], object] = sys.stderr.write
    ) -> None:
        self._write = write
        self._began = time.monotonic()

    def sent(self, address: str, message: bytes | Mapping[str, Any]) -> None:
        """Show a message that goes to QEMU or to the agent."""
        self._line("→", address, message)

    def received(
        self, address: str, message: bytes | Mapping[str, Any]
    ) -> None:
        """Show a message that came from QEMU or from the agent."""
        self._line("←", address, message)

    def _line(
        self, arrow: str, address: str, message: bytes | Mapping[str, Any]
    ) -> None:
        ms = (time.monotonic() - self._began) * 1000
        text = _text(message)
        if len(text) > LINE_MAX:
            text = f"{text[:LINE_MAX]}… ({len(text)} characters)"
        self._write(f"{arrow} {ms:9.1f} ms {short_name(address)} {text}\n")


def _text(message: bytes | Mapping[str, Any]) -> str:
    shown: Any = message
    if isinstance(message, bytes):
        try:
            shown = json.loads(message)
        except ValueError:
            # Not JSON: shown as it is, for that is what is being hunted.
            return repr(message[:LINE_MAX])
    return json.dumps(redact(shown), ensure_ascii=False)
