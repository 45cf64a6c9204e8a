"""A hundred running VMs: what ``qemu list`` costs for each."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.measure import QEMU_CLI, Cost, Limit, median_cost, run

VMS = 100
ROUNDS = 15
LIST = [QEMU_CLI, "list"]


def limits(work: Path) -> Iterator[Limit]:
    """:param work: an empty directory, its path short enough for sockets"""
    single = {"QEMU_CLI_HOME": str(work / "1")}
    full = {"QEMU_CLI_HOME": str(work / "100")}
    try:
        start(single, 1)
        start(full, VMS)
        one, many, stopped = median_cost(
            ROUNDS,
            partial(run, LIST, single),
            partial(run, LIST, full),
            partial(list_with_stopped, full, running(full)[:2]),
        )
    finally:
        for home in (single, full):
            run([QEMU_CLI, "kill", "--all"], home)
    cpu_ms = (many.cpu_s - one.cpu_s) * 1000 / (VMS - 1)
    yield Limit(f"list, {VMS} VMs / 1 VM", many.wall_s / one.wall_s, 1.4)
    yield Limit("list, CPU for each further VM", cpu_ms, 0.5, "ms")
    yield Limit(f"list, {VMS} VMs, peak memory", many.peak_mib, 35, "MiB")
    yield Limit(
        "list, two of them stopped (SIGSTOP) / none",
        stopped.wall_s / many.wall_s,
        1.05,
    )


def list_with_stopped(home: dict[str, str], pids: list[int]) -> Cost:
    """List while some of the processes are under SIGSTOP."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        return run(LIST, home)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def start(home: dict[str, str], count: int) -> None:
    """Start VMs that stand still before their first instruction."""
    names = [f"vm{number}" for number in range(count)]
    options = ("--accel", "tcg", "--memory", "64M")
    for name in names:
        run([QEMU_CLI, "create", name, *options], home)
    run([QEMU_CLI, "start", "--paused", *names], home)


def running(home: dict[str, str]) -> list[int]:
    """The pids of all VMs: a list that leaves some out is quick, too.

    :raise RuntimeError: it did
    """
    out = subprocess.check_output(
        [QEMU_CLI, "list", "-f", "json"], env=os.environ | home
    )
    pids = [vm["pid"] for vm in json.loads(out) if vm["state"] == "paused"]
    if len(pids) != VMS:
        raise RuntimeError(f"{len(pids)} of {VMS} VMs are listed as paused")
    return pids
