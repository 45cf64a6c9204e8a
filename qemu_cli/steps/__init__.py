"""Every change is a plan: steps that can be shown, done and undone.

A planner looks at facts and a wish and returns a :class:`Plan`: a tuple
of steps.  It picks every name itself, so that no step needs the reply of
an earlier one, and the plan can be printed (``--dry-run``), journalled,
and finished or taken back by another process after a ``kill -9``.

Each step's ``do`` and ``undo`` can be repeated: a crash may come between
the deed and the note in the journal.  A plan has a point of no return,
``commit``: what fails or dies before that step is undone in reverse;
what dies after it is carried on with.
"""

import contextlib
import json
import os
import shlex
import shutil
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import msgspec

from qemu_cli.errors import QemuCliError
from qemu_cli.files import sync_directory, unlink, write_atomically
from qemu_cli.steps.base import Hands as Hands
from qemu_cli.steps.base import Step as Step
from qemu_cli.steps.block import (
    AddNode,
    ChangeMedium,
    DropNodes,
    Flush,
    Pivot,
    Plug,
    Repoint,
    Throttle,
    Unplug,
)
from qemu_cli.steps.cable import SetLinks
from qemu_cli.steps.daemon import Daemon, EndDaemon, Withdraw
from qemu_cli.steps.job import Job, OrderJob
from qemu_cli.steps.load import Continue, DropTag, LoadSnapshot, TurnBack
from qemu_cli.steps.nbd import (
    AddExport,
    DropExport,
    StartServer,
    StopServer,
    Switch,
)
from qemu_cli.steps.plug import (
    AddMemory,
    AddNetdev,
    DropMemory,
    DropNetdev,
)
from qemu_cli.steps.ram import GoOn, LoadRam, NoteSaved, Quit, SaveRam
from qemu_cli.steps.rebase import Rebase
from qemu_cli.steps.snapshot import PutOverlays, SaveSnapshot, TagImage
from qemu_cli.steps.tool import run_tool as run_tool
from qemu_cli.steps.usernet import AddForward, DropForward


class MakeDirectory(Step, frozen=True, tag=True):
    """Make a directory, mode 0700 unless told otherwise."""

    path: str
    mode: int = 0o700

    def describe(self) -> str:
        return f"mkdir -p -m {self.mode:04o} {shlex.quote(self.path)}"

    async def do(self, hands: Hands) -> None:
        path = Path(self.path)
        if path.is_dir():
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(mode=self.mode, exist_ok=True)
        sync_directory(path.parent)

    async def undo(self, hands: Hands) -> None:
        # Not empty: somebody put something there that is not ours.
        with contextlib.suppress(OSError):
            Path(self.path).rmdir()


class WriteFile(Step, frozen=True, tag=True):
    """Replace a file as a whole, or make it.

    ``previous`` is its content before, as the planner saw it; None when
    there was none.
    """

    path: str
    text: str
    previous: str | None = None
    mode: int = 0o644

    def describe(self) -> str:
        # dash(1) garbles a line that begins as the mark does.
        first = {line[:1] for line in self.text.split("\n")}
        marks = ("EOF", *ascii_uppercase)
        end = next((m for m in marks if m[0] not in first), "EOF")
        while end in self.text:
            end += "_"
        return (
            f"install -m {self.mode:04o} /dev/stdin {shlex.quote(self.path)} "
            f"<<'{end}'\n{self.text.removesuffix(chr(10))}\n{end}"
        )

    async def do(self, hands: Hands) -> None:
        write_atomically(Path(self.path), self.text, mode=self.mode)

    async def undo(self, hands: Hands) -> None:
        path = Path(self.path)
        if self.previous is None:
            unlink(path)
        elif path.parent.is_dir() and not self._is_as_before(path):
            write_atomically(path, self.previous, mode=self.mode)

    def _is_as_before(self, path: Path) -> bool:
        """On a full disk it can't be written, and need not be."""
        try:
            return path.read_bytes() == (self.previous or "").encode()
        except OSError:
            return False


class WriteData(Step, frozen=True, tag=True):
    """Make a file that is no text, or that nobody is to see, mode 0600.

    :param what: it is; a plan that is printed does not show the content
    """

    path: str
    data: bytes
    what: str

    def describe(self) -> str:
        return f"# write {shlex.quote(self.path)}: {self.what}"

    async def do(self, hands: Hands) -> None:
        write_atomically(Path(self.path), self.data, mode=0o600)

    async def undo(self, hands: Hands) -> None:
        unlink(Path(self.path))


class Move(Step, frozen=True, tag=True):
    """Rename a file or a directory within one file system."""

    source: str
    target: str

    def describe(self) -> str:
        return f"mv -n {shlex.quote(self.source)} {shlex.quote(self.target)}"

    async def do(self, hands: Hands) -> None:
        self._rename(Path(self.source), Path(self.target))

    async def undo(self, hands: Hands) -> None:
        if os.path.lexists(self.target):
            self._rename(Path(self.target), Path(self.source))

    @staticmethod
    def _rename(source: Path, target: Path) -> None:
        if os.path.lexists(target):
            if not os.path.lexists(source):
                return  # done already
            raise QemuCliError(f"{target} is in the way")
        source.rename(target)
        sync_directory(target.parent)


class Remove(Step, frozen=True, tag=True):
    """Remove a file, or a directory with all that is in it.

    It can't be undone, so it belongs behind the point of no return.
    """

    path: str

    def describe(self) -> str:
        return f"rm -rf {shlex.quote(self.path)}"

    async def do(self, hands: Hands) -> None:
        path = Path(self.path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class Tool(Step, frozen=True, tag=True):
    """Run a program, such as qemu-img, to its end.

    ``creates`` is the file it makes, removed when the step is undone.
    ``back`` is the command that takes it back, where that is not enough.
    """

    argv: tuple[str, ...]
    creates: str | None = None
    back: tuple[str, ...] = ()

    def describe(self) -> str:
        return shlex.join(self.argv)

    async def do(self, hands: Hands) -> None:
        await run_tool(self.argv)

    async def undo(self, hands: Hands) -> None:
        if self.back:
            await run_tool(self.back)
        if self.creates:
            unlink(Path(self.creates))


class Qmp(Step, frozen=True, tag=True):
    """Send one QMP command, or its opposite."""

    command: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    back: str | None = None
    back_arguments: dict[str, Any] = msgspec.field(default_factory=dict)

    def describe(self) -> str:
        message: dict[str, Any] = {"execute": self.command}
        if self.arguments:
            message["arguments"] = self.arguments
        return f"qmp {json.dumps(message)}"

    async def do(self, hands: Hands) -> None:
        await hands.execute(self.command, self.arguments)

    async def undo(self, hands: Hands) -> None:
        # With its QEMU, what it did is gone as well.
        if self.back and await hands.runs():
            await hands.execute(self.back, self.back_arguments)


class Spawn(Step, frozen=True, tag=True):
    """Start the VM's QEMU with this argv and wait until it is ready.

    ``recorder`` is the base name of the event recorder's pair of files,
    ``helpers`` are programs that must run first and put themselves in the
    background; ``throttles`` have no words on QEMU's command line.
    """

    argv: tuple[str, ...]
    recorder: str
    helpers: tuple[tuple[str, ...], ...] = ()
    throttles: tuple[Throttle, ...] = ()

    def describe(self) -> str:
        source = shlex.quote(f"{self.recorder}.in")
        target = shlex.quote(f"{self.recorder}.out")
        command = '{"execute":"qmp_capabilities"}'
        return "\n".join(
            [
                f"rm -f {source}; mkfifo -m 600 {source}; : > {target}",
                f"(echo '{command}' > {source} &)",
                *map(shlex.join, self.helpers),
                shlex.join(self.argv),
                *(throttle.describe() for throttle in self.throttles),
            ]
        )

    async def do(self, hands: Hands) -> None:
        await hands.spawn(self)
        for throttle in self.throttles:
            await throttle.do(hands)

    async def undo(self, hands: Hands) -> None:
        await hands.unspawn(self)

    async def is_done(self, hands: Hands) -> bool:
        return await hands.came_up(self)


AnyStep = (
    MakeDirectory
    | WriteFile
    | WriteData
    | Move
    | Remove
    | Tool
    | Rebase
    | Qmp
    | Job
    | OrderJob
    | Switch
    | StartServer
    | StopServer
    | AddExport
    | DropExport
    | AddNode
    | DropNodes
    | Flush
    | Plug
    | Unplug
    | AddNetdev
    | DropNetdev
    | AddForward
    | DropForward
    | AddMemory
    | DropMemory
    | ChangeMedium
    | Pivot
    | Throttle
    | TagImage
    | SaveSnapshot
    | PutOverlays
    | Repoint
    | Daemon
    | EndDaemon
    | Withdraw
    | Spawn
    | SaveRam
    | Quit
    | NoteSaved
    | LoadRam
    | SetLinks
    | GoOn
    | LoadSnapshot
    | TurnBack
    | DropTag
    | Continue
)


class Plan(msgspec.Struct, frozen=True):
    """What is going to be done, in order.

    :param title: what for, as in ``create web``
    :param steps: the steps
    :param commit: index of the first step that is never undone; by
        default there is none, and a failure takes everything back
    :param frees: it makes room, can be done again from its beginning, and
        is done without a journal when there is no room for one
    :param also: names of further instances that it touches: a command on
        one of those cleans up, too
    """

    title: str
    steps: tuple[AnyStep, ...]
    commit: int | None = None
    also: tuple[str, ...] = ()
    frees: bool = False

    def describe(self) -> list[str]:
        """Every step, as lines that a shell takes where it can be."""
        return [step.describe() for step in self.steps]

    @property
    def point_of_no_return(self) -> int:
        """Index of the first step that is never undone."""
        return len(self.steps) if self.commit is None else self.commit
