"""Fifty VMs on a full screen: what ``qemu top`` costs at 2 s refresh."""

import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

from benchmarks.many import start
from benchmarks.measure import QEMU_CLI, Figure, Limit, run
from qemu_cli.proc import ProcFS

VMS = 50
#: A `qemu` that has the plug-ins beside it.
TOP = os.environ.get("QEMU_CLI_BENCH_PLUGINS", QEMU_CLI)
#: The first rates come after a second; then it is as it stays.
SETTLE_S = 10.0
WATCH_S = 60.0
ROWS, COLUMNS = 24, 80


def limits(work: Path) -> Iterator[Limit | Figure]:
    """:param work: an empty directory, its path short enough for sockets"""
    home = {
        "QEMU_CLI_HOME": str(work / "h"),
        "QEMU_CLI_CONFIG_LIST_FOREIGN": "yes",
        "TERM": "xterm-256color",
    }
    try:
        start(home, VMS)
        percent, mib = watch(home)
    finally:
        run([QEMU_CLI, "kill", "--all"], home)
    yield Limit(f"top, {VMS} VMs, 2 s refresh, of one core", percent, 5, "%")
    yield Figure(f"top, {VMS} VMs, memory", mib, "MiB")


def watch(home: dict[str, str]) -> tuple[float, float]:
    """Run it in a terminal.

    :return: its CPU time, in percent of the time that passed; its memory
    :raise RuntimeError: it ended, or does not show all VMs
    """
    primary, terminal = pty.openpty()
    size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
    ioctl(terminal, termios.TIOCSWINSZ, size)
    program = subprocess.Popen(
        [TOP, "top"],
        env=os.environ | home,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    try:
        shown = read_for(primary, SETTLE_S)
        if f"{VMS} VMs".encode() not in shown:
            raise RuntimeError(f"it shows no {VMS} VMs: {shown[-300:]!r}")
        procfs = ProcFS()
        process = procfs.process(program.pid)
        if process is None:
            raise RuntimeError("it has ended")
        cpu_s, begin = procfs.cpu_s(process), time.monotonic()
        read_for(primary, WATCH_S)
        used_s = procfs.cpu_s(process) - cpu_s
        percent = 100 * used_s / (time.monotonic() - begin)
        return percent, procfs.rss_bytes(process) / 2**20
    finally:
        program.kill()
        program.wait()
        os.close(primary)


def read_for(primary: int, seconds: float) -> bytes:
    """Take what is drawn, as a terminal does."""
    end = time.monotonic() + seconds
    taken = b""
    while (left_s := end - time.monotonic()) > 0:
        if select.select([primary], [], [], left_s)[0]:
            taken += os.read(primary, 65536)
    return taken
