"""200 QEMUs that others started, and 2000 processes that are none."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks import libvirt
from benchmarks.measure import QEMU_CLI, Figure, Limit, median_cost, medians
from benchmarks.measure import run as measured
from qemu_cli.proc import ProcFS

VMS = 200
OTHERS = 2000
ROUNDS = 15
LIST = [QEMU_CLI, "list", "--origin", "hand"]
STATS = ["domstats", "--state", "--balloon", "--vcpu"]


def limits(work: Path) -> Iterator[Limit | Figure]:
    """:param work: an empty directory, its path short enough for sockets"""
    home = {"QEMU_CLI_HOME": str(work / "h")}
    yield scan()
    [none] = median_cost(ROUNDS, partial(measured, LIST, home))
    with ExitStack() as stack:
        # Both see all of them in /proc, and each asks its own.
        virsh = stack.enter_context(libvirt.domains(work / "libvirt", VMS))
        stack.enter_context(by_hand(work / "vms"))
        check(home)
        many, theirs = median_cost(
            ROUNDS,
            partial(measured, LIST, home),
            partial(measured, [*virsh, *STATS], {}),
        )
        yield Figure(f"list, {VMS} by hand", many.wall_s * 1000, "ms")
        yield Figure(f"virsh, {VMS} domains", theirs.wall_s * 1000, "ms")
        ratio = many.wall_s / theirs.wall_s
    yield Limit(f"list, {VMS} by hand / virsh domstats, as many", ratio, 1.0)
    with by_hand(work / "alone"):
        [many] = median_cost(ROUNDS, partial(measured, LIST, home))
    yield Figure(
        f"list, {VMS} by hand, nothing else", many.wall_s * 1000, "ms"
    )
    cpu_ms = (many.cpu_s - none.cpu_s) * 1000 / VMS
    yield Limit("list, CPU for each VM by hand", cpu_ms, 0.5, "ms")


def scan() -> Limit:
    """One look through /proc for QEMUs, with many others running."""
    pattern = re.compile(r"\.?qemu-system-.*|qemu-kvm|kvm")

    def look() -> float:
        begun = time.perf_counter()
        ProcFS().processes(pattern)
        return time.perf_counter() - begun

    sleepers = [subprocess.Popen(["sleep", "1000"]) for _ in range(OTHERS)]
    try:
        [took_s] = medians(ROUNDS, look)
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
    what = f"scan of /proc, {OTHERS} other processes"
    return Limit(what, took_s * 1000, 50, "ms")


@contextmanager
def by_hand(directory: Path) -> Iterator[None]:
    """Start QEMUs as libvirt's are: the same machine, standing still."""
    directory.mkdir()
    emulator = shutil.which("qemu-system-x86_64") or "qemu-system-x86_64"
    machine = "-machine pc,accel=tcg -m 8 -S -display none -nodefaults"
    sockets = [directory / str(number) for number in range(VMS)]
    started = []
    try:
        for path in sockets:
            qmp = f"unix:{path},server=on,wait=off"
            words = [emulator, *machine.split(), "-qmp", qmp]
            started.append(subprocess.Popen(words, stdin=subprocess.DEVNULL))
        while not all(path.exists() for path in sockets):
            time.sleep(0.1)
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def check(home: dict[str, str]) -> None:
    """A list that leaves some out is quick, too.

    :raise RuntimeError: it did
    """
    end = time.monotonic() + 60
    answered = 0
    while answered < VMS and time.monotonic() < end:
        words = [*LIST, "--state", "paused", "-q"]
        out = subprocess.check_output(words, env=os.environ | home)
        answered = len(out.split())
    if answered != VMS:
        raise RuntimeError(f"{answered} of {VMS} VMs have answered")
