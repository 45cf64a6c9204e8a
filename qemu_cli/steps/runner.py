"""Plans are done, journalled, taken back and finished here.

A plan that fails is taken back.  One whose program was killed is finished
or taken back by the next program, which reads how far it came in the
journal; see :mod:`qemu_cli.steps` for the rules.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from errno import EDQUOT, ENOENT, ENOSPC
from pathlib import Path
from typing import NamedTuple

import msgspec

from qemu_cli.errors import BusyError, QemuCliError
from qemu_cli.files import write_atomically
from qemu_cli.steps import Plan
from qemu_cli.steps.base import Hands
from qemu_cli.steps.job import Job

#: How a line begins whose job was left running on purpose.
_DETACHED = "detached "


class Pending(NamedTuple):
    """A plan that is not done yet.

    :param last: the last step begun; -1: none
    :param detached: that step is a job which was left running
    """

    plan: Plan
    last: int
    detached: bool


class Journal:
    """What a plan has done so far, on disk, each line fsynced.

    The first line is the plan, each later one the index of a step that
    is about to be done, or of one that was left running.  The other
    instances that the plan touches have links to it in the places of their
    own journals.

    :param path: ``NAME.jsonl``
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def owner(self) -> str:
        """The name of the instance whose plan it is."""
        return self.path.resolve().stem

    def begin(self, plan: Plan) -> None:
        """Write the plan down before anything is done."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = msgspec.json.encode(plan).decode() + "\n"
        try:
            for link in self._links(plan):
                link.unlink(missing_ok=True)
                link.symlink_to(self.path.name)
            write_atomically(self.path, text, mode=0o600)
        except BaseException:
            self.end(plan)
            raise

    def step(self, index: int) -> None:
        """Note that a step is about to be done."""
        self._append(str(index))

    def detach(self, index: int) -> None:
        """Note that a step's job was left running."""
        self._append(f"{_DETACHED}{index}")

    def _append(self, line: str) -> None:
        # begin() has made it.
        with self.path.open("r+") as stream:
            stream.seek(0, os.SEEK_END)
            stream.write(f"{line}\n")
            stream.flush()
            os.fsync(stream.fileno())

    def end(self, plan: Plan) -> None:
        """All is done, or all is undone."""
        self.path.unlink(missing_ok=True)
        for link in self._links(plan):
            link.unlink(missing_ok=True)

    def _links(self, plan: Plan) -> list[Path]:
        return [self.path.with_name(f"{name}.jsonl") for name in plan.also]

    def read(self) -> Pending | None:
        """Return the plan and how far it came, or None.

        :raise QemuCliError: when the file is not a journal of ours
        """
        try:
            # What stands behind the last line's end was cut off: the
            # step had not begun.  (splitlines() splits at U+2028, too.)
            first, *rest = self.path.read_text().split("\n")[:-1]
            plan = msgspec.json.decode(first, type=Plan)
            word = rest[-1] if rest else "-1"
            last = int(word.removeprefix(_DETACHED))
            if last not in range(-1, len(plan.steps)):
                raise ValueError(f"there is no step {last}")
            return Pending(plan, last, word.startswith(_DETACHED))
        except FileNotFoundError:
            return None
        except (ValueError, msgspec.MsgspecError) as error:
            raise QemuCliError(
                f"the journal {self.path} can't be read: {error}",
                hint="look at it; remove it when nothing in it matters",
            ) from error


class Runner:
    """Does plans, and cleans up after those that were killed.

    :param journal: where to note what is being done
    :param hands: what can talk to QEMU
    """

    def __init__(self, journal: Journal, hands: Hands) -> None:
        self._journal = journal
        self._hands = hands

    async def run(self, plan: Plan, *, detach: bool = False) -> None:
        """Do all steps; when one fails, undo what was done before it.

        :param detach: leave as soon as a job runs; whoever comes after
            it has ended does the rest
        :raise QemuCliError: whatever the failing step raised.  When not
            even undoing works, that is in its hint, and the next command
            tries again.
        """
        with _named_errors(), _room_enough(plan):
            self._journal.begin(plan)
        await self._forward(plan, 0, detach=detach)

    async def recover(self) -> str | None:
        """Finish or take back what a killed program left half done.

        Also finish what was left to a job on purpose, if that has ended.

        :return: what was done about it, for the user; None when there
            was nothing to do
        :raise BusyError: the job goes on
        """
        pending = self._journal.read()
        if pending is None:
            return None
        plan, last, detached = pending
        step = plan.steps[last]
        with _named_errors():
            if detached and isinstance(step, Job):
                if await step.under_way(self._hands):
                    raise BusyError(
                        f"'{plan.title}' goes on in the background",
                        hint=f"'qemu job wait {self._journal.owner}' waits"
                        " for its end",
                    )
                if (
                    last < plan.point_of_no_return
                    and not await self._hands.runs()
                ):
                    await self._back(plan, last)
                    return f"'{plan.title}' ended with QEMU: took it back"
                await self._forward(plan, last)
                return f"'{plan.title}' has ended: finished it"
            if last == plan.point_of_no_return - 1 and await step.is_done(
                self._hands
            ):
                await self._forward(plan, last + 1)
            elif last >= plan.point_of_no_return:
                await self._forward(plan, last)
            else:
                await self._back(plan, last)
                return f"'{plan.title}' had been interrupted: took it back"
        return f"'{plan.title}' had been interrupted: finished it"

    async def _forward(
        self, plan: Plan, start: int, *, detach: bool = False
    ) -> None:
        for index in range(start, len(plan.steps)):
            step = plan.steps[index]
            try:
                with _named_errors():
                    with _room_enough(plan):
                        self._journal.step(index)
                    if detach and isinstance(step, Job):
                        await step.start(self._hands)
                        self._journal.detach(index)
                        return
                    await step.do(self._hands)
            except BaseException as error:
                if index < plan.point_of_no_return:
                    # Also when Ctrl-C comes: undoing is not interrupted.
                    await asyncio.shield(self._give_up(plan, index, error))
                raise
        self._journal.end(plan)

    async def _give_up(
        self, plan: Plan, last: int, error: BaseException
    ) -> None:
        """Undo; the error that is the reason for it is told first."""
        try:
            await self._back(plan, last)
        except (OSError, QemuCliError) as second:
            if isinstance(error, QemuCliError):
                error.hint = (
                    f"what was done could not be taken back: {second}; the "
                    "next command tries again"
                )

    async def _back(self, plan: Plan, last: int) -> None:
        for step in reversed(plan.steps[: last + 1]):
            await step.undo(self._hands)
        self._journal.end(plan)


@contextlib.contextmanager
def _room_enough(plan: Plan) -> Iterator[None]:
    """Go on without notes when the disk is full, if the plan makes room."""
    try:
        yield
    except OSError as error:
        # ENOENT: the journal was not begun for that reason.
        if not plan.frees or error.errno not in (ENOSPC, EDQUOT, ENOENT):
            raise


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    """Say which file it was that the system refused."""
    try:
        yield
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        raise QemuCliError(f"{file}{error.strerror or error}") from error
