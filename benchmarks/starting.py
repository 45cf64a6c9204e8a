"""``qemu start`` against QEMU itself, run with the very same arguments.

The floor is what nobody can do without: QEMU until its monitor answers
query-status, and a Python program of ours that does nothing to speak of
(``qemu version``).
"""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.measure import QEMU_CLI, Limit, medians, run

ROUNDS = 15
NAME = "one"


def limits(work: Path) -> Iterator[Limit]:
    """:param work: an empty directory, its path short enough for sockets"""
    home = {"QEMU_CLI_HOME": str(work)}
    instance = work / "instances" / NAME
    run([QEMU_CLI, "create", NAME, "--disk", "64M", "--accel", "tcg"], home)
    started, bare, version = medians(
        ROUNDS,
        partial(start, home),
        partial(start_bare, instance),
        lambda: run([QEMU_CLI, "version"], home).wall_s,
    )
    yield Limit(
        f"start ({started * 1000:.0f} ms) / QEMU alone "
        f"({bare * 1000:.0f} ms) + version ({version * 1000:.0f} ms)",
        started / (bare + version),
        1.25,
    )


def start(home: dict[str, str]) -> float:
    """How long ``qemu start`` takes (seconds)."""
    wall_s = run([QEMU_CLI, "start", NAME, "--paused"], home).wall_s
    run([QEMU_CLI, "quit", NAME], home)
    return wall_s


def start_bare(instance: Path) -> float:
    """How long the instance's own ``command.sh`` takes until QMP answers."""
    begin = time.perf_counter()
    process = subprocess.Popen(["sh", instance / "command.sh"])
    try:
        monitor = connect(instance / "control.sock", process)
        with monitor, monitor.makefile("rw") as stream:
            stream.readline()  # the greeting
            ask(stream, "qmp_capabilities")
            ask(stream, "query-status")
            wall_s = time.perf_counter() - begin
            ask(stream, "quit")
    finally:
        process.wait(60)
    return wall_s


def connect(path: Path, process: subprocess.Popen[bytes]) -> socket.socket:
    while process.poll() is None:
        monitor = socket.socket(socket.AF_UNIX)
        try:
            monitor.connect(str(path))
        except OSError:
            monitor.close()
            time.sleep(0.001)
        else:
            return monitor
    raise RuntimeError(f"QEMU ended with {process.returncode}")


def ask(stream, command: str) -> None:
    stream.write(json.dumps({"execute": command}) + "\n")
    stream.flush()
    while "return" not in stream.readline():
        pass
