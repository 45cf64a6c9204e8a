"""One view of all that a QEMU does in the background.

Block jobs and those of snapshots are jobs to QEMU as well (qapi/job.json,
qapi/block-core.json).  A migration and a dump of the guest's memory are
not, and have no id; they get one here: there is never more than one.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

MIGRATION = "migration"
DUMP = "dump"

#: Migration states (QAPI MigrationStatus) in which it goes on, or that
#: somebody wants to know of.
_MIGRATION_SHOWN = frozenset(
    {
        *("setup", "active", "device", "wait-unplug", "failed"),
        *("cancelling", "pre-switchover", "postcopy-active"),
        *("postcopy-paused", "postcopy-recover"),
    }
)

#: The main loop does nothing else while these run.
UNSTOPPABLE = frozenset({"snapshot-save", "snapshot-load", "snapshot-delete"})


#: Nothing more will come of a job, a migration or a dump.
_ENDED = frozenset(
    {"concluded", "null", "completed", "failed", "cancelled", "none"}
)

#: What a block job waits for (QAPI BlockDeviceIoStatus).
_IO_STATUS = {
    "nospace": "no space left on the host's disk: make room, and resume it",
    "failed": "an I/O error on the host: see to it, and resume it",
}


class Job(NamedTuple):
    """A job, as it was when it was looked at.

    :param type: QEMU's word, such as ``mirror`` (QAPI JobType);
        ``migration`` and ``dump``
    :param status: QEMU's word (QAPI JobStatus, MigrationStatus, DumpStatus)
    :param current: how far it is, mostly in bytes
    :param total: how far it has to go; this may grow; 0: not known yet
    :param limit_bytes_s: it may not be faster; None: no limit
    :param rate_bytes_s: how fast it is; None: not known
    :param left_s: how long it will take; None: not known
    :param error: why it has failed, or what it waits for
    """

    id: str
    type: str
    status: str
    current: int
    total: int
    limit_bytes_s: int | None = None
    rate_bytes_s: float | None = None
    left_s: float | None = None
    error: str | None = None

    @property
    def is_job(self) -> bool:
        """Whether QEMU itself calls it a job."""
        return self.type not in (MIGRATION, DUMP)

    @property
    def percent(self) -> float | None:
        """How far it is; None: not known yet."""
        if not self.total:
            return None
        return round(100 * self.current / self.total, 1)

    @property
    def moves(self) -> bool:
        """Whether it gets on by itself."""
        return self.status in ("created", "running", "active", "setup")

    @property
    def waits_for_order(self) -> bool:
        """Whether somebody has to say how it goes on."""
        return self.status in ("ready", "standby", "pending")

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in _ENDED


class Asked(Protocol):
    """A session, or a listener of one."""

    async def execute(self, command: str) -> Any:
        """Send a command and return its reply."""


async def read(qemu: Asked, *, ended: bool = False) -> list[Job]:
    """Ask a QEMU for all that it does in the background.

    :param ended: also a migration or a dump that has ended well, or was
        cancelled; QEMU remembers the last one for ever
    """
    # A block job's "device" is its id.
    block = {
        job["device"]: job for job in await qemu.execute("query-block-jobs")
    }
    jobs = [
        _job(job, block.get(job["id"], {}))
        # QEMU names the latest one first.
        for job in reversed(await qemu.execute("query-jobs"))
    ]
    migration = await qemu.execute("query-migrate")
    dump = await qemu.execute("query-dump")
    if ended or migration.get("status") in _MIGRATION_SHOWN:
        jobs.append(_migration(migration))
    if ended or dump["status"] in ("active", "failed"):
        jobs.append(_dump(dump))
    return jobs


def _job(job: Mapping[str, Any], block: Mapping[str, Any]) -> Job:
    return Job(
        id=job["id"],
        type=job["type"],
        status=job["status"],
        current=job["current-progress"],
        total=job["total-progress"],
        limit_bytes_s=block.get("speed") or None,
        error=job.get("error") or _IO_STATUS.get(block.get("io-status", "ok")),
    )


def _migration(found: Mapping[str, Any]) -> Job:
    ram = found.get("ram", {})
    left = ram.get("remaining", 0)
    current = ram.get("total", 0) - left
    # Not "mbps", which is what goes over the wire: zeros hardly do.
    time_s = found.get("total-time", 0) / 1000
    rate = current / time_s if time_s else None
    return Job(
        id=MIGRATION,
        type=MIGRATION,
        status=found.get("status", "none"),
        current=current,
        total=current + left,
        rate_bytes_s=rate,
        left_s=left / rate if rate else None,
        error=found.get("error-desc") or _ended_by(found.get("status")),
    )


def _ended_by(status: str | None) -> str | None:
    return "it was cancelled" if status == "cancelled" else None


def _dump(found: Mapping[str, Any]) -> Job:
    return Job(
        id=DUMP,
        type=DUMP,
        status=found["status"],
        current=found["completed"],
        total=found["total"],
    )
