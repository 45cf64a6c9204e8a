"""Snapshots against the QMP commands that they consist of.

With RAM: a client on a bare socket sends the same ``snapshot-save``.
External: a guest writes to its disk without a pause, and the longest time
without a write tells how long it was held; the floor is the transaction
alone, with overlays that were made before.  What a dry run does to the
guest, that is how much comes of the processor time that we take from it.
"""

import ctypes
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from benchmarks.measure import QEMU_CLI, Figure, Limit, medians, run
from qemu_cli.steps.nodes import file_of

ROUNDS = 9
MIB_64 = 64 << 20  # above what a BIOS uses
DISKS = 4
IN_MODIFY = 2  # inotify(7)
GUEST = Path(os.environ.get("QEMU_CLI_TEST_GUEST", "build/guest"))

WRITER = (
    b"while :; do dd if=/dev/zero of=/dev/vda bs=4k count=4096 oflag=direct"
    b" conv=notrunc 2>/dev/null; done &\n"
)

#: A process for each of hundreds would take minutes.
TAKE = """
import sys
from qemu_cli.app import main
for number in range(int(sys.argv[1])):
    code = main(["snapshot", "create", "one", f"n{number}", *sys.argv[2:]])
    if code:
        sys.exit(code)
"""


def limits(work: Path) -> Iterator[Limit | Figure]:
    """:param work: an empty directory, its path short enough for sockets"""
    yield from with_ram(work / "r", 1)
    yield from with_ram(work / "f", 1024)
    yield from external(work / "e")
    yield from listing(work / "l")


def with_ram(work: Path, used_mib: int) -> Iterator[Limit]:
    """:param used_mib: what the guest has written to its RAM"""
    work.mkdir()
    noise = work / "noise"
    noise.write_bytes(os.urandom(used_mib << 20))
    loader = f"loader,file={noise},addr={MIB_64:#x},force-raw=on"
    device = [f"--qemu-arg={word}" for word in ("-device", loader)]
    home = create(
        work / "h",
        *("--disk", "1G", "--memory", f"{used_mib + 128}M"),
        *device,
    )
    run([QEMU_CLI, "start", "one", "--paused"], home)
    try:
        control = work / "h" / "run" / "one" / "control.sock"
        ours, bare, version = medians(
            ROUNDS,
            lambda: ours_with_ram(home),
            lambda: save(control, "bare"),
            lambda: run([QEMU_CLI, "version"], home).wall_s,
        )
    finally:
        run([QEMU_CLI, "kill", "one"], home)
    yield Limit(
        f"snapshot, {used_mib} MiB of RAM ({ours * 1000:.0f} ms) / "
        f"bare ({bare * 1000:.0f} ms) + version ({version * 1000:.0f} ms)",
        ours / (bare + version),
        1.05,
    )


def ours_with_ram(home: dict[str, str]) -> float:
    taken = snapshot(home, "ours", "--yes")
    run([QEMU_CLI, "snapshot", "delete", "one", "ours", "--yes"], home)
    return taken


def snapshot(home: dict[str, str], name: str, *options: str) -> float:
    words = [QEMU_CLI, "snapshot", "create", "one", name, *options]
    return run(words, home).wall_s


def save(control: Path, tag: str) -> float:
    """How long snapshot-save takes by itself (seconds)."""
    with monitor(control) as stream:
        begin = time.perf_counter()
        job(stream, "snapshot-save", tag, tag=tag, vmstate="disk0")
        taken = time.perf_counter() - begin
        job(stream, "snapshot-delete", tag, tag=tag)
    return taken


def job(stream: Any, command: str, id: str, **arguments: str) -> None:
    """Run a job that QEMU's main loop does at once, and dismiss it."""
    order(stream, command, {"job-id": id, "devices": ["disk0"], **arguments})
    jobs = order(stream, "query-jobs")
    if [each["status"] for each in jobs] != ["concluded"]:
        raise RuntimeError(f"{command}: {jobs}")
    order(stream, "job-dismiss", {"id": id})


def external(work: Path) -> Iterator[Limit | Figure]:
    disks = [word for _ in range(DISKS) for word in ("--disk", "64M")]
    home = create(
        work,
        *disks,
        *("--kernel", str(GUEST / "vmlinuz")),
        *("--initrd", str(GUEST / "initrd.gz")),
        *("--append", "console=ttyS0 quiet", "--memory", "256M"),
    )
    run([QEMU_CLI, "start", "one"], home)
    try:
        directory = work / "instances" / "one"
        write_without_pause(directory, work / "run" / "one" / "serial.sock")
        with watching(directory) as stamps:
            numbers = count()

            def taken(*options: str) -> float:
                name = f"ours{next(numbers)}"
                deed = partial(snapshot, home, name, "--external", *options)
                return gap(stamps, deed)

            ours, dry, bare = medians(
                ROUNDS,
                taken,
                lambda: taken("--dry-run"),
                lambda: transaction(work, directory, stamps, next(numbers)),
            )
    finally:
        run([QEMU_CLI, "kill", "one"], home)
    yield Limit(
        f"longest gap between writes, external over {DISKS} disks "
        f"({ours * 1000:.0f} ms) / bare ({bare * 1000:.0f} ms)",
        ours / bare,
        2.0,
    )
    yield Figure("the same, a dry run / bare", dry / bare)


def write_without_pause(directory: Path, serial: Path) -> None:
    """Wait until the guest is up, and have it write for ever."""
    log = directory / "serial.log"
    while "GUEST-READY" not in log.read_text(errors="replace"):
        time.sleep(0.2)
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(serial))
        console.sendall(WRITER)
        time.sleep(2)


@contextmanager
def watching(directory: Path) -> Iterator[list[float]]:
    """Note when a file in a directory is written to (inotify(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    libc.inotify_add_watch(descriptor, os.fsencode(directory), IN_MODIFY)
    stamps: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if select.select([descriptor], [], [], 0.1)[0]:
                os.read(descriptor, 1 << 16)
                stamps.append(time.perf_counter())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield stamps
    finally:
        over.set()
        thread.join()
        os.close(descriptor)


def gap(stamps: list[float], deed: Any) -> float:
    """The longest time without a write around a deed (seconds)."""
    begin = time.perf_counter()
    deed()
    time.sleep(0.3)
    seen = [stamp for stamp in stamps if stamp >= begin]
    return max(late - early for early, late in pairwise(seen))


def transaction(
    work: Path, directory: Path, stamps: list[float], number: int
) -> float:
    """The same for the transaction alone, and put it right again.

    The definition has to follow, so the overlays are committed after it.
    """
    control = work / "run" / "one" / "control.sock"
    with monitor(control) as stream:
        actions = []
        for device in order(stream, "query-block"):
            if "inserted" not in device:
                continue
            node = device["inserted"]["node-name"]
            overlay = f"bare{number}-{len(actions)}"
            file = directory / f"{overlay}.qcow2"
            size = device["inserted"]["image"]["virtual-size"]
            command = ["qemu-img", "create", "-q", "-u", "-f", "qcow2"]
            backing = ["-b", file_of(device["inserted"]), "-F", "qcow2"]
            subprocess.run(
                [*command, *backing, str(file), str(size)], check=True
            )
            order(
                stream,
                "blockdev-add",
                {
                    "driver": "qcow2",
                    "node-name": overlay,
                    "backing": None,
                    "file": {"driver": "file", "filename": str(file)},
                },
            )
            data = {"node": node, "overlay": overlay}
            actions.append({"type": "blockdev-snapshot", "data": data})
        found = gap(
            stamps, lambda: order(stream, "transaction", {"actions": actions})
        )
        for action in actions:
            commit(stream, action["data"]["overlay"], action["data"]["node"])
            (directory / f"{action['data']['overlay']}.qcow2").unlink()
    return found


def commit(stream: Any, overlay: str, node: str) -> None:
    job = {"job-id": overlay, "device": overlay, "base-node": node}
    order(stream, "block-commit", {**job, "auto-dismiss": False})
    status = ""
    while status != "concluded":
        (status,) = (each["status"] for each in order(stream, "query-jobs"))
        if status == "ready":
            order(stream, "job-complete", {"id": overlay})
        time.sleep(0.02)
    order(stream, "job-dismiss", {"id": overlay})
    order(stream, "blockdev-del", {"node-name": overlay})


def listing(work: Path) -> Iterator[Limit | Figure]:
    homes = {
        wanted: many(work / str(number), *wanted)
        for number, wanted in enumerate(
            [("internal", 5), ("internal", 500), ("external", 100)]
        )
    }
    few, internal, external = medians(
        ROUNDS, *(partial(tree, home) for home in homes.values())
    )
    yield Limit(
        f"snapshot list --tree, 500 internal ({internal * 1000:.0f} ms) / 5",
        internal / few,
        2.0,
    )
    yield Figure("the same, 100 external / 5 internal", external / few)


def tree(home: dict[str, str]) -> float:
    words = [QEMU_CLI, "snapshot", "list", "one", "--tree"]
    return run(words, home).wall_s


def many(work: Path, kind: str, number: int) -> dict[str, str]:
    """A stopped VM with many snapshots, all of them made in one process."""
    home = create(work, "--disk", "1G")
    options = ["--external"] if kind == "external" else []
    words = [sys.executable, "-P", "-c", TAKE, str(number), *options]
    run(words, home)
    return home


def create(work: Path, *options: str) -> dict[str, str]:
    home = {"QEMU_CLI_HOME": str(work)}
    fixed = ("--accel", "tcg", "--nic", "none")
    run([QEMU_CLI, "create", "one", *fixed, *options], home)
    return home


@contextmanager
def monitor(path: Path) -> Iterator[Any]:
    """A connection to a QMP monitor, as bare as can be."""
    with socket.socket(socket.AF_UNIX) as connected:
        connected.connect(str(path))
        with connected.makefile("rw") as stream:
            stream.readline()  # the greeting
            order(stream, "qmp_capabilities")
            yield stream


def order(
    stream: Any, command: str, arguments: dict[str, Any] | None = None
) -> Any:
    """Send a command; return what comes back.

    :raise RuntimeError: QEMU refused
    """
    message = {"execute": command, "arguments": arguments or {}}
    stream.write(json.dumps(message) + "\n")
    stream.flush()
    while True:
        reply = json.loads(stream.readline())
        if "error" in reply:
            raise RuntimeError(f"{command}: {reply['error']['desc']}")
        if "return" in reply:
            return reply["return"]
