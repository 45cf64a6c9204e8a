"""What a process uses of the host: CPU, memory, network interfaces.

Formats: proc(5), and for the counters of interfaces net/dev as the kernel
writes it (net/core/net-procfs.c).  What may not be looked at, or has ended
meanwhile, is None.
"""

# ruff: noqa: PTH115, PTH208  see the package

import os
import re
from typing import NamedTuple

from qemu_cli.proc import PAGE_BYTES, TICKS_PER_S, Process, ProcFS
from qemu_cli.proc.view import read

#: What QEMU calls the thread of a virtual CPU with ``debug-threads=on``.
_VCPU = re.compile(r"CPU (\d+)/")
_TUN = "/dev/net/tun"


class Load(NamedTuple):
    """CPU time since it was started, of all threads; memory now."""

    cpu_s: float
    rss_bytes: int


class Traffic(NamedTuple):
    """The counters of a network interface, as the host counts."""

    received_bytes: int
    sent_bytes: int


def load(procfs: ProcFS, process: Process) -> Load | None:
    """Look at a process; None: it has ended."""
    fields = _fields(f"{procfs.root}/{process.pid}/stat")
    if fields is None or int(fields[19]) != process.start_time:
        return None
    return Load(_cpu_s(fields), int(fields[21]) * PAGE_BYTES)


def thread_cpu_s(
    procfs: ProcFS, process: Process, thread_id: int
) -> float | None:
    """CPU time of one thread; None: it has none of that number.

    That may be one in a pid namespace that is not ours, too.
    """
    path = f"{procfs.root}/{process.pid}/task/{thread_id}/stat"
    fields = _fields(path)
    return _cpu_s(fields) if fields else None


def named_vcpus(procfs: ProcFS, process: Process) -> dict[int, int]:
    """Find the threads of virtual CPUs by their names.

    :return: their ids, by the number of the CPU; empty: QEMU was not told
        to name its threads (``-name …,debug-threads=on``)
    """
    tasks = f"{procfs.root}/{process.pid}/task"
    found = {}
    for thread in _entries(tasks):
        match = _VCPU.match(read(f"{tasks}/{thread}/comm") or "")
        if match:
            found[int(match[1])] = int(thread)
    return dict(sorted(found.items()))


def taps(procfs: ProcFS, process: Process) -> frozenset[str] | None:
    """The tap interfaces that it has open, whoever opened them."""
    here = f"{procfs.root}/{process.pid}"
    try:
        fds = os.listdir(f"{here}/fd")
    except OSError:
        return None
    found = set()
    for fd in fds:
        try:
            is_tap = os.readlink(f"{here}/fd/{fd}") == _TUN
        except OSError:
            continue  # closed by now
        info = read(f"{here}/fdinfo/{fd}") if is_tap else None
        # Written by the kernel's tun_chr_show_fdinfo.
        match = re.search(r"^iff:\s+(\S+)", info or "", re.MULTILINE)
        if match:
            found.add(match[1])
    return frozenset(found)


def interfaces(procfs: ProcFS, process: Process) -> dict[str, Traffic]:
    """The interfaces of its network namespace, by name."""
    text = read(f"{procfs.root}/{process.pid}/net/dev") or ""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, counters = line.partition(":")
        numbers = counters.split()
        found[name.strip()] = Traffic(int(numbers[0]), int(numbers[8]))
    return found


def _fields(path: str) -> list[str] | None:
    """The fields of a stat file from the third (state) on."""
    text = read(path)
    # The name in parentheses may hold spaces and parentheses.
    return text[text.rindex(")") + 2 :].split() if text else None


def _cpu_s(fields: list[str]) -> float:
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _entries(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
