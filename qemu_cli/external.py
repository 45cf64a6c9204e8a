"""``qemu foo`` runs the executable ``qemu-foo`` when there is no command.

QEMU's own programs are no commands of ours.
"""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

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


def replace_us(path: str, argv: Sequence[str]) -> None:
    """Run a program in our place: its exit code is ours.

    :raise OSError: it can't be run
    """
    os.execv(path, [path, *argv])


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
