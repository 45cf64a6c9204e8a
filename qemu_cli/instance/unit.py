"""The text of a systemd unit that runs one instance.  Pure.

``Type=forking`` with QEMU's own pid file: systemd knows the process that
the VM is, ``systemctl status`` tells the truth, and a guest that shuts
itself down leaves the unit inactive.  (A ``oneshot`` unit would stay
active for ever.)

SIGTERM to QEMU is a power cut for its guest.  systemd sends it only after
``ExecStop`` has ended, and that waits for the guest, up to a timeout that
is below the unit's own.  ``KillMode=mixed`` keeps it from helpers such as
swtpm, which must outlive QEMU.  See systemd.service(5), systemd.kill(5).
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

#: After the guest's time is over, QEMU is ended: that takes seconds.
_STOP_MARGIN_S = 30

#: Loading what ``qemu save`` saved takes a second a GiB or so.
_START_TIMEOUT = "15min"


class Unit(NamedTuple):
    """What a unit file is made of.

    :param name: the instance's
    :param program: our own executable
    :param pid_file: QEMU's
    :param shutdown_s: how long the guest may take to shut down
    :param environment: what the program needs to find the instance
    :param user: who runs it, for a unit of the host; else None
    """

    name: str
    program: Path
    pid_file: Path
    shutdown_s: float
    environment: Mapping[str, str]
    user: str | None = None

    def text(self) -> str:
        """The content of the file."""
        shutdown_s = math.ceil(self.shutdown_s)
        program = quoted(str(self.program), command=True)
        lines = [
            "# Written by 'qemu autostart enable'.",
            "[Unit]",
            f"Description=Virtual machine {self.name}",
        ]
        if self.user:
            # Stopped before the network is, when the host goes down.
            lines.append("After=network.target")
        lines += [
            "",
            "[Service]",
            "Type=forking",
            f"PIDFile={_percent(str(self.pid_file))}",
        ]
        if self.user:
            lines.append(f"User={self.user}")
        lines += [
            f"Environment={quoted(f'{key}={value}')}"
            for key, value in self.environment.items()
        ]
        lines += [
            f"ExecStart={program} start {self.name}",
            f"ExecStop=-{program} shutdown --force"
            f" --timeout {shutdown_s}s {self.name}",
            f"TimeoutStartSec={_START_TIMEOUT}",
            f"TimeoutStopSec={shutdown_s + _STOP_MARGIN_S}s",
            "KillMode=mixed",
            "",
            "[Install]",
            f"WantedBy={target(system=self.user is not None)}",
        ]
        return "\n".join(lines) + "\n"


def target(*, system: bool) -> str:
    """The target that wants the unit: what is reached at boot, or login."""
    return "multi-user.target" if system else "default.target"


def quoted(word: str, *, command: bool = False) -> str:
    """Quote a word for a unit file (systemd.syntax(7)).

    :param command: for an Exec line, where ``$`` begins a variable
    """
    word = word.replace("\\", "\\\\").replace('"', '\\"')
    if command:
        word = word.replace("$", "$$")
    return f'"{_percent(word)}"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")
