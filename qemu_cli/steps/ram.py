"""The steps of ``qemu save``, and of a start that goes on from there.

Saving is ``stop``, :class:`SaveRam`, :class:`Quit`, :class:`NoteSaved`;
going on is a ``Spawn`` that waits, :class:`LoadRam`, :class:`GoOn`.
"""

import json
import shlex
import stat
from pathlib import Path
from typing import Any

from qemu_cli.files import write_atomically
from qemu_cli.steps.base import Hands, Step


class SaveRam(Step, frozen=True, tag=True):
    """Write the memory and the devices of a paused VM to a file."""

    file: str

    def describe(self) -> str:
        return f"write the guest's memory to {shlex.quote(self.file)}" + (
            " (qmp migrate)"
        )

    async def do(self, hands: Hands) -> None:
        await hands.save_ram(self.file)

    async def undo(self, hands: Hands) -> None:
        await hands.drop_ram(self.file)


class Quit(Step, frozen=True, tag=True):
    """End QEMU.  It can't be undone."""

    def describe(self) -> str:
        return 'qmp {"execute": "quit"}'

    async def do(self, hands: Hands) -> None:
        await hands.quit()


class NoteSaved(Step, frozen=True, tag=True):
    """Write down what the saved memory fits to.

    :param facts: what was known before
    :param images: the images by what they are called in errors.  How they
        are is found out now: a QEMU that ends may still write to them.
    """

    file: str
    facts: dict[str, Any]
    images: dict[str, str]

    def describe(self) -> str:
        return f"write {shlex.quote(self.file)}: times and sizes of disks"

    async def do(self, hands: Hands) -> None:
        here = Path(self.file).parent
        images = []
        for name, file in self.images.items():
            path = Path(file)
            inside = path.is_relative_to(here)
            images.append(
                {
                    "name": name,
                    "file": str(path.relative_to(here) if inside else path),
                    "identity": identity(path),
                }
            )
        text = json.dumps({**self.facts, "images": images}, indent=1)
        write_atomically(Path(self.file), text + "\n", mode=0o600)


class LoadRam(Step, frozen=True, tag=True):
    """Have a QEMU that was started for it read the saved memory."""

    file: str

    def describe(self) -> str:
        return f"read the guest's memory from {shlex.quote(self.file)}" + (
            " (qmp migrate-incoming)"
        )

    async def do(self, hands: Hands) -> None:
        await hands.load_ram(self.file)


class GoOn(Step, frozen=True, tag=True):
    """Let the guest run, if it did, and remove what was saved.

    If QEMU is not there any more, because the host went down just now,
    the files stay: whether the disks still fit is looked at by the next
    start.
    """

    run: bool
    files: tuple[str, ...]

    def describe(self) -> str:
        lines = ['qmp {"execute": "cont"}'] if self.run else []
        if self.files:
            lines.append(f"rm {shlex.join(self.files)}")
        return "\n".join(lines)

    async def do(self, hands: Hands) -> None:
        if not await hands.runs():
            return
        if self.run:
            await hands.execute("cont", {})
        for file in self.files:
            Path(file).unlink(missing_ok=True)


def identity(file: Path) -> list[int] | None:
    """Return what changes when a file's content does: size, mtime in ns.

    None where that says nothing: a device, or no file at all.
    """
    try:
        status = file.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return [status.st_size, status.st_mtime_ns]
