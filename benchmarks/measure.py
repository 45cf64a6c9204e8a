"""How things are measured: instructions, wall time, CPU time, memory."""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

#: The installed program, beside the Python that runs the benchmark.
QEMU_CLI = str(Path(sys.executable).with_name("qemu"))


class Cost(NamedTuple):
    """What one run of a program took."""

    wall_s: float
    cpu_s: float
    peak_mib: float


class Limit(NamedTuple):
    """A figure that we promise, and what it came out as.

    :param at_least: the limit is the least that it may be, not the most
    """

    what: str
    value: float
    limit: float
    unit: str = "×"
    at_least: bool = False

    @property
    def kept(self) -> bool:
        if self.at_least:
            return self.value >= self.limit
        return self.value <= self.limit

    def __str__(self) -> str:
        verdict = "ok" if self.kept else "MISSED"
        value, limit = f"{self.value:.3f}", f"{self.limit:g}"
        sign = "≥" if self.at_least else "≤"
        return (
            f"{self.what:<58}{value:>9} {sign} {limit} {self.unit}  {verdict}"
        )


class Figure(NamedTuple):
    """What is measured, and not promised."""

    what: str
    value: float
    unit: str = "×"
    kept: bool = True

    def __str__(self) -> str:
        return f"{self.what:<58}{self.value:>9.3f} {self.unit}"


def instructions(
    arguments: Sequence[str], environ: Mapping[str, str] | None = None
) -> int:
    """How many instructions Python executes, by cachegrind.

    The second run counts: the first one writes the byte code.
    """
    environment = os.environ | {"PYTHONHASHSEED": "0"} | (environ or {})
    python = [sys.executable, *arguments]
    subprocess.run(
        python, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    result = subprocess.run(
        [
            *("valgrind", "--tool=cachegrind", "--cache-sim=no"),
            *("--cachegrind-out-file=/dev/null", *python),
        ],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", result.stderr)
    if not found:
        raise RuntimeError(f"cachegrind said: {result.stderr}")
    return int(found[1].replace(",", ""))


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> Cost:
    """Run a program to its end.

    :raise RuntimeError: it failed
    """
    begin = time.perf_counter()
    process = subprocess.Popen(
        arguments,
        env=os.environ | environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments} ended with {process.returncode}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Cost(wall_s, cpu_s, usage.ru_maxrss / 1024)


def medians(rounds: int, *measures: Callable[[], float]) -> list[float]:
    """The median of each, their runs interleaved, one warm-up each."""
    for measure in measures:
        measure()
    taken = [[measure() for measure in measures] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*taken, strict=True)]


def median_cost(rounds: int, *measures: Callable[[], Cost]) -> list[Cost]:
    """The same for costs, each of the three figures by itself."""
    for measure in measures:
        measure()
    taken = [[measure() for measure in measures] for _ in range(rounds)]
    return [
        Cost(*map(statistics.median, zip(*column, strict=True)))
        for column in zip(*taken, strict=True)
    ]
