"""A hundred running VMs: what ``qemu list`` costs for each."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.measure import QEMU_CLI, Limit, median_cost, run

VMS = 100
ROUNDS = 9


def limits(work: Path) -> Iterator[Limit]:
    """:param work: an empty directory, its path short enough for sockets"""
    home = {"QEMU_CLI_HOME": str(work / "home")}
    listing = partial(run, [QEMU_CLI, "list"], home)
    with ExitStack() as stack:
        pids = [start(stack, work / "0")]
        (one,) = median_cost(ROUNDS, listing)
        pids += [start(stack, work / f"{n}") for n in range(1, VMS)]
        check_all_are_listed(home)
        (many,) = median_cost(ROUNDS, listing)
        for pid in pids[:2]:
            os.kill(pid, signal.SIGSTOP)
        (stopped,) = median_cost(ROUNDS, listing)
    cpu_ms = (many.cpu_s - one.cpu_s) * 1000 / (VMS - 1)
    yield Limit(f"list, {VMS} VMs / 1 VM", many.wall_s / one.wall_s, 1.4)
    yield Limit("list, CPU for each further VM", cpu_ms, 0.5, "ms")
    yield Limit(f"list, {VMS} VMs, peak memory", many.peak_mib, 35, "MiB")
    yield Limit(
        "list, two of them stopped (SIGSTOP) / none",
        stopped.wall_s / many.wall_s,
        1.05,
    )


def check_all_are_listed(home: dict[str, str]) -> None:
    """A list that leaves VMs out is quick, too.

    :raise RuntimeError: it did
    """
    out = subprocess.check_output(
        [QEMU_CLI, "list", "-f", "json"], env=os.environ | home
    )
    listed = [vm["name"] for vm in json.loads(out)]
    missing = {f"bench{n}" for n in range(VMS)}.difference(listed)
    if missing:
        raise RuntimeError(f"{len(missing)} of {VMS} VMs are not listed")


def start(stack: ExitStack, socket: Path) -> int:
    """A QEMU without a machine, ended with the stack."""
    process = subprocess.Popen(
        [
            *("qemu-system-x86_64", "-machine", "none", "-nodefaults"),
            *("-display", "none", "-name", f"bench{socket.name}"),
            *("-qmp", f"unix:{socket},server=on,wait=off"),
        ]
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    while not socket.exists():
        if process.poll() is not None:
            raise RuntimeError("QEMU did not start")
    return process.pid
