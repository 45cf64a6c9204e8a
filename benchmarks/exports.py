"""Reading a disk through ``qemu nbd-export``, and through ``qemu-nbd``.

The VM stands still, so that only the way out is measured: the same file,
cache mode and kind of I/O for both, one client connection.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.measure import QEMU_CLI, Limit, medians, run

ROUNDS = 9
NAME = "one"
SIZE_MIB = 512


def limits(work: Path) -> Iterator[Limit]:
    """:param work: an empty directory, its path short enough for sockets"""
    home = {"QEMU_CLI_HOME": str(work)}
    disk = work / "instances" / NAME / "disk0.qcow2"
    options = ("--disk", f"{SIZE_MIB}M", "--accel", "tcg", "--memory", "64M")
    run([QEMU_CLI, "create", NAME, *options], home)
    write = f"write -P 7 0 {SIZE_MIB}M"
    run(["qemu-io", "-f", "qcow2", "-c", write, str(disk)], {})
    # One after the other: a point in time puts a filter below the other.
    for option, promised in (("--live", 0.9), (None, 0.8)):
        run([QEMU_CLI, "start", NAME, "--paused"], home)
        try:
            ours = export(home, option)
            with qemu_nbd(disk, work / "peer.sock") as theirs:
                mine, peer = medians(
                    ROUNDS, partial(copy, ours), partial(copy, theirs)
                )
        finally:
            run([QEMU_CLI, "kill", NAME], home)
        what = "live" if option else "point in time"
        yield Limit(
            f"nbdcopy, {what} ({SIZE_MIB / mine:.0f} MiB/s) / qemu-nbd "
            f"({SIZE_MIB / peer:.0f} MiB/s)",
            peer / mine,
            promised,
            at_least=True,
        )


def export(home: dict[str, str], option: str | None) -> str:
    """Export the disk; return where it is."""
    words = ["nbd-export", NAME, "-f", "json", *([option] if option else [])]
    out = subprocess.check_output(
        [QEMU_CLI, *words], env=os.environ | home, stderr=subprocess.DEVNULL
    )
    return str(json.loads(out)[0]["uri"])


@contextmanager
def qemu_nbd(disk: Path, socket: Path) -> Iterator[str]:
    """Serve the same file with QEMU's own tool, as QEMU has it open."""
    image = "driver=qcow2,force-share=on,file.driver=file,file.filename="
    process = subprocess.Popen(
        [
            *("qemu-nbd", "--read-only", "--persistent"),
            *("--cache=writeback", "--aio=threads", "--socket", str(socket)),
            *("--image-opts", f"{image}{disk}"),
        ]
    )
    try:
        while not socket.exists():
            if process.poll() is not None:
                raise RuntimeError(f"qemu-nbd: {process.returncode}")
            time.sleep(0.01)
        yield f"nbd+unix:///?socket={socket}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def copy(uri: str) -> float:
    """How long it takes to read all of it (seconds)."""
    return run(["nbdcopy", "-C", "1", uri, "null:"], {}).wall_s
