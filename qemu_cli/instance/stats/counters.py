"""What QEMU counts itself: what it is asked, and how its replies read.

Sources: qapi/machine.json, block-core.json, stats.json.  A QEMU that
refuses a question, as one without a balloon does, or an old one that has
no such command, leaves that part out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from qemu_cli.qmp.probe import Question
from qemu_cli.storage.graph import device_id

_T = TypeVar("_T")

_EXITS = {
    "target": "vcpu",
    "providers": [{"provider": "kvm", "names": ["exits"]}],
}

#: The order of their replies is that of :func:`from_replies`.
QUESTIONS: tuple[Question, ...] = (
    ("query-cpus-fast", {}),
    ("query-blockstats", {}),
    ("query-memory-size-summary", {}),
    ("query-balloon", {}),
    ("query-stats", _EXITS),
)


class DiskCounters(NamedTuple):
    """What a guest has read and written since QEMU was started."""

    read_bytes: int
    write_bytes: int
    read_ops: int
    write_ops: int


class Counters(NamedTuple):
    """The replies of one QEMU; None: it does not tell.

    :param vcpu_threads: thread ids, by the number of the virtual CPU
    :param disks: by the id of the device
    :param memory_bytes: what the guest was given, hot-plugged memory too
    :param balloon_bytes: what its balloon leaves it of that
    :param exits: from guest to host, of all virtual CPUs; KVM counts them
    """

    vcpu_threads: Mapping[int, int] | None = None
    disks: Mapping[str, DiskCounters] | None = None
    memory_bytes: int | None = None
    balloon_bytes: int | None = None
    exits: int | None = None


def from_replies(replies: Sequence[Any]) -> Counters:
    """Read the replies to :data:`QUESTIONS`.

    What is not of the expected form counts as not told: it may be no QEMU.
    """
    threads, disks, memory, balloon, exits = replies
    return Counters(
        vcpu_threads=_read(_threads, threads),
        disks=_read(_disks, disks),
        memory_bytes=_read(_memory, memory),
        balloon_bytes=_read(_balloon, balloon),
        exits=_read(_exits, exits),
    )


def _read(reader: Callable[[Any], _T | None], reply: Any) -> _T | None:
    try:
        return None if reply is None else reader(reply)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def _threads(reply: Any) -> dict[int, int]:
    return {
        int(each["cpu-index"]): int(each["thread-id"])
        for each in sorted(reply, key=lambda each: each["cpu-index"])
    }


def _disks(reply: Any) -> dict[str, DiskCounters]:
    found = {}
    for each in reply:
        stats = each["stats"]
        found[_name(each)] = DiskCounters(
            int(stats["rd_bytes"]),
            int(stats["wr_bytes"]),
            int(stats["rd_operations"]),
            int(stats["wr_operations"]),
        )
    return found


def _name(each: Mapping[str, Any]) -> str:
    """The device's id; of one without, that of its drive or block node."""
    known = device_id({"device": "", **each})
    if known and "/machine/unattached/" not in each.get("qdev", ""):
        return known
    return str(each.get("device") or each.get("node-name") or known)


def _memory(reply: Any) -> int:
    return int(reply["base-memory"]) + int(reply.get("plugged-memory", 0))


def _balloon(reply: Any) -> int:
    return int(reply["actual"])


def _exits(reply: Any) -> int | None:
    values = [
        int(stat["value"])
        for vcpu in reply
        for stat in vcpu["stats"]
        if stat["name"] == "exits"
    ]
    return sum(values) if values else None
