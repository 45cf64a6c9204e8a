"""From two samples of a VM to what it uses.  Pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from qemu_cli.instance.stats.sample import Sample

_T = TypeVar("_T")


class VCPU(NamedTuple):
    """A virtual CPU; 100 is one CPU of the host."""

    number: int
    cpu_percent: float


class Disk(NamedTuple):
    """What a guest reads from and writes to a disk in a second."""

    id: str
    read_bytes_s: float
    write_bytes_s: float
    read_ops_s: float
    write_ops_s: float


class NIC(NamedTuple):
    """What a guest receives and sends through a tap interface."""

    interface: str
    in_bytes_s: float
    out_bytes_s: float


class Usage(NamedTuple):
    """What a VM used between two moments; None: it is not known.

    :param interval_s: how far they are apart
    :param cpu_percent: of QEMU's process; 100 is one CPU of the host
    :param disks: each; the totals are in the ``disk_…`` fields
    :param nics: each that is counted; the totals are in the ``net_…`` fields
    """

    interval_s: float | None = None
    cpu_percent: float | None = None
    vcpus: tuple[VCPU, ...] | None = None
    rss_bytes: int | None = None
    memory_bytes: int | None = None
    balloon_bytes: int | None = None
    disk_read_bytes_s: float | None = None
    disk_write_bytes_s: float | None = None
    disk_read_ops_s: float | None = None
    disk_write_ops_s: float | None = None
    disks: tuple[Disk, ...] | None = None
    net_in_bytes_s: float | None = None
    net_out_bytes_s: float | None = None
    nics: tuple[NIC, ...] | None = None
    exits_s: float | None = None


def usage(before: Sample | None, after: Sample) -> Usage:
    """Tell what a VM used between two samples.

    A disk or virtual CPU that came between them is left out; what has
    begun to count anew since is not known.

    :param before: None, or one of another run: there are no rates
    """
    now = Usage(
        rss_bytes=after.rss_bytes,
        memory_bytes=after.memory_bytes,
        balloon_bytes=after.counters.balloon_bytes,
    )
    if before is None or before.key != after.key:
        return now
    seen_s = after.time_s - before.time_s
    if seen_s <= 0:
        return now
    disks = _disks(before, after)
    nics = _nics(before, after, seen_s)
    cpu = _rate(before.cpu_s, after.cpu_s, seen_s)
    return now._replace(
        interval_s=round(seen_s, 3),
        cpu_percent=None if cpu is None else round(100 * cpu, 1),
        vcpus=_vcpus(before, after, seen_s),
        disk_read_bytes_s=_total(disks, lambda disk: disk.read_bytes_s),
        disk_write_bytes_s=_total(disks, lambda disk: disk.write_bytes_s),
        disk_read_ops_s=_total(disks, lambda disk: disk.read_ops_s),
        disk_write_ops_s=_total(disks, lambda disk: disk.write_ops_s),
        disks=disks,
        net_in_bytes_s=_total(nics, lambda nic: nic.in_bytes_s),
        net_out_bytes_s=_total(nics, lambda nic: nic.out_bytes_s),
        nics=nics,
        exits_s=_rate(
            before.counters.exits,
            after.counters.exits,
            after.asked_s - before.asked_s,
        ),
    )


def _vcpus(
    before: Sample, after: Sample, seconds: float
) -> tuple[VCPU, ...] | None:
    if before.vcpus is None or after.vcpus is None:
        return None
    found = []
    for number, now in after.vcpus.items():
        share = _rate(before.vcpus.get(number), now, seconds)
        if share is not None:
            found.append(VCPU(number, round(100 * share, 1)))
    return tuple(found)


def _disks(before: Sample, after: Sample) -> tuple[Disk, ...] | None:
    were, are = before.counters.disks, after.counters.disks
    seconds = after.asked_s - before.asked_s
    if were is None or are is None or seconds <= 0:
        return None
    found = []
    for name, now in are.items():
        rates = _rates(were.get(name), now, seconds)
        if rates:
            found.append(Disk(name, *rates))
    return tuple(found)


def _nics(
    before: Sample, after: Sample, seconds: float
) -> tuple[NIC, ...] | None:
    if before.taps is None or after.taps is None:
        return None
    found = []
    for name, now in after.taps.items():
        rates = _rates(before.taps.get(name), now, seconds)
        if rates:
            received, sent = rates
            # What the host sends into the tap, the guest receives.
            found.append(NIC(name, in_bytes_s=sent, out_bytes_s=received))
    return tuple(found)


def _rates(
    before: Sequence[int] | None, after: Sequence[int], seconds: float
) -> list[float] | None:
    """All rates, or None when one of the counters has begun anew."""
    if before is None:
        return None
    pairs = zip(before, after, strict=True)
    found = [_rate(was, now, seconds) for was, now in pairs]
    rates = [rate for rate in found if rate is not None]
    return rates if len(rates) == len(found) else None


def _rate(
    before: float | None, after: float | None, seconds: float
) -> float | None:
    if before is None or after is None or after < before or seconds <= 0:
        return None
    return round((after - before) / seconds, 3)


def _total(
    parts: Sequence[_T] | None, of: Callable[[_T], float]
) -> float | None:
    return None if parts is None else round(sum(map(of, parts)), 3)
