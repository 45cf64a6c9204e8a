"""``qemu foo`` runs the executable ``qemu-foo`` when there is no command.

QEMU's own programs are no commands of ours.  What we know goes with it in
its environment:

``QEMU_CLI_EXECUTABLE``
    this program, so that it can call us
``QEMU_CLI_OVERRIDES``
    each ``-c KEY=VALUE`` (a JSON list), which we read again when called
``QEMU_CLI_SETTINGS``
    every setting and its value (a JSON object of strings)
``QEMU_CLI_VM``, ``QEMU_CLI_VM_PID``, ``QEMU_CLI_QMP``
    if its first argument is a VM that runs: its name, its process, and
    where a monitor of it listens (a path, or HOST:PORT)
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.config import OVERRIDES
from qemu_cli.errors import QemuCliError

if TYPE_CHECKING:
    from qemu_cli.app import QemuApp
    from qemu_cli.instance.vm import VM

PREFIX = "qemu-"

#: What QEMU and its packages install: tools, emulators of systems, and
#: emulators of user processes (``qemu-aarch64``, ``qemu-arm-static`` …).
_OWN = re.compile(
    r"""(
    system-.* | img | nbd | io | storage-daemon | pr-helper | ga | edid
    | keymap | trace-stap | bridge-helper | vmsr-helper | guest-agent
    | debootstrap | make-debian-root | mkimage | plugin-.*
    | (aarch64(_be)? | alpha | arm(eb)? | cris | hexagon | hppa | i386
      | loongarch64 | m68k | microblaze(el)? | mips(64|n32)?(el)? | mipsel
      | mips64el | mipsn32el | nios2 | or1k | ppc(64)?(le|abi32)?
      | riscv(32|64) | s390x | sh4(eb)? | sparc(32plus|64)? | tilegx
      | x86_64 | xtensa(eb)?)
      (-static|-binfmt.*|-linux-user|-bsd-user)?
    )""",
    re.VERBOSE,
)


def find(word: str) -> str | None:
    """The path of ``qemu-WORD``, or None if that is nobody's command."""
    if not _may_be(word):
        return None
    return shutil.which(PREFIX + word)


def every() -> list[str]:
    """The words of all such executables on PATH, sorted."""
    return sorted(
        {
            word
            for name in _executables()
            if _may_be(word := name.removeprefix(PREFIX))
        }
    )


def environment(app: "QemuApp", arguments: Sequence[str]) -> dict[str, str]:
    """What we tell a program that stands in for a command.

    :param arguments: those of the program
    """
    told = {
        "QEMU_CLI_EXECUTABLE": _ourselves(),
        "QEMU_CLI_SETTINGS": json.dumps(
            {key: value.text for key, value in app.config.items()}
        ),
    }
    if app.config.overrides:
        told[OVERRIDES] = json.dumps(app.config.overrides)
    return {**told, **_about_vm(app, arguments)}


def replace_us(
    path: str,
    argv: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a program in our place: its exit code is ours.

    :param environment: what it gets beside our own
    :raise OSError: it can't be run
    """
    inherited = {k: v for k, v in os.environ.items() if k not in _OURS}
    os.execve(path, [path, *argv], {**inherited, **(environment or {})})


#: Not inherited by a program that it is not about.
_OURS = ("QEMU_CLI_VM", "QEMU_CLI_VM_PID", "QEMU_CLI_QMP")


def _ourselves() -> str:
    return shutil.which(sys.argv[0]) or sys.argv[0]


def _about_vm(app: "QemuApp", arguments: Sequence[str]) -> dict[str, str]:
    """What is known of the VM that the program is about."""
    if not arguments or arguments[0].startswith("-"):
        return {}
    from qemu_cli.instance.resolve import anyone

    try:
        vm = anyone(app.host, arguments[0])
    except (QemuCliError, OSError):
        return {}  # it is something else
    told = {"QEMU_CLI_VM": vm.name}
    if vm.process is not None:
        told["QEMU_CLI_VM_PID"] = str(vm.process.pid)
        if address := _monitor(vm):
            told["QEMU_CLI_QMP"] = address
    return told


def _monitor(vm: "VM") -> str | None:
    """The monitor whose holder is least in the way of our commands."""
    monitors = vm.monitors
    if monitors.human or (monitors.problem and not monitors.followers):
        return None
    return (monitors.followers or (monitors.control,))[-1]


def _may_be(word: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9][\w.-]*", word)) and not (
        _OWN.fullmatch(word)
    )


def _executables() -> Iterator[str]:
    for directory in os.get_exec_path():
        try:
            entries = list(os.scandir(directory or Path.cwd()))
        except OSError:
            continue
        for entry in entries:
            if entry.name.startswith(PREFIX) and os.access(
                entry.path, os.X_OK
            ):
                yield entry.name
