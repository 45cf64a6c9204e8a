"""A hundred running VMs: what ``qemu list`` costs for each."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.measure import QEMU_CLI, Limit, median_cost, run

VMS = 100
ROUNDS = 9


def limits(work: Path) -> Iterator[Limit]:
    """:param work: an empty directory, its path short enough for sockets"""
    home = {"QEMU_CLI_HOME": str(work / "home")}
    listing = partial(run, [QEMU_CLI, "list"], home)
    try:
        start(home, "first")
        (one,) = median_cost(ROUNDS, listing)
        start(home, *(f"vm{n}" for n in range(1, VMS)))
        pids = running(home)
        (many,) = median_cost(ROUNDS, listing)
        for pid in pids[:2]:
            os.kill(pid, signal.SIGSTOP)
        (stopped,) = median_cost(ROUNDS, listing)
    finally:
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


def start(home: dict[str, str], *names: str) -> None:
    """Start VMs that stand still before their first instruction."""
    for name in names:
        run(
            [QEMU_CLI, "create", name, "--accel", "tcg", "--memory", "64M"],
            home,
        )
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
