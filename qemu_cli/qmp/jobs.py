"""Jobs: what QEMU does in the background (qapi/job.json).

::

    created → running ⇄ paused → [ready] → waiting → pending → concluded
                        └──────── aborting ────────────────────┘

A job keeps its id and its error until it is dismissed.  So that nothing
is lost, we ask QEMU not to dismiss it by itself, and do it at the end.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from qemu_cli.errors import NotFoundError, RefusedError, TimedOutError

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Listener, Session

#: Where a job can be left for its next order: ``ready`` takes
#: job-complete, ``pending`` takes job-finalize.
Until = Literal["ready", "pending", "concluded"]

#: These have the argument; the other commands never dismiss by themselves.
_AUTO_DISMISS = frozenset(
    {
        "block-commit",
        "block-stream",
        "blockdev-backup",
        "blockdev-mirror",
        "drive-backup",
        "drive-mirror",
    }
)

#: They stop QEMU's main loop until they are done: nobody can cancel them.
_NOT_CANCELLABLE = frozenset(
    {"snapshot-save", "snapshot-load", "snapshot-delete"}
)

#: How far a job is by its status (QAPI JobStatus).  One that is aborting
#: will be ``concluded``, and nothing else.
_RANKS = {
    "created": 0,
    "running": 1,
    "paused": 1,
    "aborting": 1,
    "ready": 2,
    "standby": 2,
    "waiting": 3,
    "pending": 4,
    "concluded": 5,
    "null": 5,
}

#: How often progress is asked for.
_PROGRESS_S = 0.5

_IS_IT_FULL = "is the host's disk full?  Make room and try again"

#: A vhost-user device whose back-end is older than QEMU: only the try shows.
STATE_STAYS = (
    "the program behind a device can't hand over its state: 'qemu log --qemu' "
    "says which; a snapshot with --external takes the disks alone"
)

_log = logging.getLogger(__name__)


class JobError(RefusedError):
    """A job ended with an error; QEMU's text is in the message."""


class Progress(NamedTuple):
    """How far a job is.  The total can grow while it runs."""

    job_id: str
    current: int  # mostly bytes
    total: int


async def run_job(
    session: "Session",
    command: str,
    arguments: Mapping[str, Any],
    *,
    until: Until = "concluded",
    progress: Callable[[Progress], object] | None = None,
) -> str:
    """Start a job and wait for it.

    Cancelling the task cancels the job where QEMU can do that, and waits
    for it to end where it can't.

    :param arguments: a ``job-id`` is picked when it has none
    :param until: ``ready`` and ``pending`` leave the job there
    :return: the job's id
    :raise RefusedError: QEMU did not start it
    :raise JobError: it ended with an error
    :raise ConnectionLostError: QEMU ended
    """
    job_id = arguments.get("job-id") or f"qemu-cli-{secrets.token_hex(4)}"
    sent = _arguments(command, job_id, arguments)
    can_cancel = command not in _NOT_CANCELLABLE
    await _drive(session, job_id, command, sent, until, progress, can_cancel)
    return str(job_id)


async def start_job(
    session: "Session",
    command: str,
    job_id: str,
    arguments: Mapping[str, Any],
) -> None:
    """Start a job, and leave it to itself.

    :raise RefusedError: QEMU did not start it
    """
    await session.execute(command, _arguments(command, job_id, arguments))


async def find_job(
    session: "Session", job_id: str
) -> Mapping[str, Any] | None:
    """Return what QEMU says of a job (QAPI JobInfo), None: it has none."""
    for job in await session.execute("query-jobs"):
        if job["id"] == job_id:
            return job  # type: ignore[no-any-return]
    return None


def has_reached(status: str, until: str) -> bool:
    """Tell whether a job of a status is there, or further."""
    return _RANKS.get(status, 1) >= _RANKS[until]


async def await_job(
    session: "Session",
    job_id: str,
    until: str,
    *,
    progress: Callable[[Progress], object] | None = None,
) -> None:
    """Wait for a job that somebody started; dismiss a concluded one.

    Cancelling the task does not cancel the job.

    :raise JobError: it ended with an error, or has vanished
    """
    async with session.listen("JOB_STATUS_CHANGE") as listener:
        if await _reached(listener, job_id, until, progress):
            await _dismiss(session, listener, job_id, "the job")


async def await_end(session: "Session", job_id: str) -> None:
    """Wait until a job has ended; it stays for whoever started it.

    :raise NotFoundError: there is none of this id
    :raise JobError: it has failed
    """
    if await find_job(session, job_id) is None:
        raise NotFoundError(
            f"there is no job '{job_id}'", hint="'qemu job list' shows them"
        )
    async with session.listen("JOB_STATUS_CHANGE") as listener:
        status = ""
        while not has_reached(status or "created", "concluded"):
            job = await find_job(session, job_id)
            if job is None:
                return  # and was dismissed already
            if "error" in job:
                raise JobError(f"{job_id}: {job['error']}")
            status = job["status"]
            if not has_reached(status, "concluded"):
                await listener.get()


async def cancel_job(session: "Session", job_id: str) -> None:
    """Cancel a job, if there is one, wait for its end and dismiss it.

    One that can't be cancelled any more is waited for.
    """
    if await find_job(session, job_id) is None:
        return
    async with session.listen("JOB_STATUS_CHANGE") as listener:
        # Refused: it has concluded, or can't be cancelled.
        with contextlib.suppress(RefusedError):
            await session.execute("job-cancel", {"id": job_id})
        with contextlib.suppress(JobError):
            await _reached(listener, job_id, "concluded", None)
            await _dismiss(session, listener, job_id, "job-cancel")


async def order_job(
    session: "Session",
    command: str,
    job_id: str,
    *,
    until: Until = "concluded",
    progress: Callable[[Progress], object] | None = None,
) -> None:
    """Give a job its next order, and wait for what comes of it.

    :param command: ``job-complete``, ``job-finalize`` or ``job-cancel``
    :raise JobError: it ended with an error; after ``job-cancel`` that is
        ``Operation canceled``
    """
    arguments = {"id": job_id}
    # Cancelling has no meaning for a job that is being ended.
    await _drive(session, job_id, command, arguments, until, progress, False)


def _arguments(
    command: str, job_id: str, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    sent = {**arguments, "job-id": job_id}
    if command in _AUTO_DISMISS:
        sent["auto-dismiss"] = False
    return sent


async def _drive(
    session: "Session",
    job_id: str,
    command: str,
    arguments: Mapping[str, Any],
    until: Until,
    progress: Callable[[Progress], object] | None,
    can_cancel: bool,
) -> None:
    async with session.listen("JOB_STATUS_CHANGE") as listener:

        async def work() -> None:
            # The reply to snapshot-save comes when all is done.
            await session.execute(command, arguments, timeout_s=None)
            if await _reached(listener, job_id, until, progress):
                await _dismiss(session, listener, job_id, command)

        task = asyncio.create_task(work())
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if can_cancel:
                # Refused: it is over, or it had not begun.
                with contextlib.suppress(RefusedError):
                    await session.execute("job-cancel", {"id": job_id})
            else:
                _log.warning("%s can't be cancelled; waiting", command)
            await asyncio.wait((task,))
            task.exception()
            raise


async def _reached(
    listener: "Listener",
    job_id: str,
    until: str,
    progress: Callable[[Progress], object] | None,
) -> bool:
    """Wait for a status; true: the job has concluded."""
    every_s = _PROGRESS_S if progress else None
    job = await _job(listener, job_id)
    status = job["status"]
    while not has_reached(status, until):
        try:
            event = await listener.get(every_s)
        except TimedOutError:
            job = await _job(listener, job_id)
            _tell(job, progress)
            continue
        if event.data["id"] == job_id:
            status = event.data["status"]
    if progress:
        _tell(await _job(listener, job_id), progress)
    return bool(status == "concluded")


async def _dismiss(
    session: "Session", listener: "Listener", job_id: str, command: str
) -> None:
    job = await _job(listener, job_id)
    await session.execute("job-dismiss", {"id": job_id})
    if "error" in job:
        text = job["error"]
        raise JobError(
            f"{command}: {text}",
            command=command,
            hint=_hint(text),
        )


def _hint(text: str) -> str | None:
    """What to do about an error, from QEMU's words for it."""
    if "Input/output error" in text:  # so it says of RAM, too
        return _IS_IT_FULL
    if "writing VM state: Operation not supported" in text:
        return STATE_STAYS
    return None


async def _job(listener: "Listener", job_id: str) -> Mapping[str, Any]:
    for job in await listener.execute("query-jobs"):
        if job["id"] == job_id:
            return job  # type: ignore[no-any-return]
    raise JobError(f"the job {job_id} has vanished: somebody dismissed it")


def _tell(
    job: Mapping[str, Any], progress: Callable[[Progress], object] | None
) -> None:
    if progress:
        current, total = job["current-progress"], job["total-progress"]
        progress(Progress(job["id"], current, total))
