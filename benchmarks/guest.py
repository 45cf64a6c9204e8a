"""``qemu exec`` and ``qemu cp`` beside a raw client of the guest agent.

The guest's only CPU is emulated (TCG), and its agent is what takes the
time.  The raw client is a program, too: both sides pay for a connection.
"""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.measure import QEMU_CLI, Figure, Limit, medians, run
from qemu_cli.paths import Paths

ROUNDS = 9
UP_MIB, DOWN_MIB = 12, 24
NAME = "g"
RAW = str(Path(__file__).with_name("raw_agent.py"))
#: A `qemu` that has the plug-ins beside it.
QEMU = os.environ.get("QEMU_CLI_BENCH_PLUGINS", QEMU_CLI)


def limits(work: Path) -> Iterator[Limit | Figure]:
    """:param work: an empty directory, its path short enough for sockets"""
    home = {"QEMU_CLI_HOME": str(work / "h")}
    boot(home)
    try:
        paths = Paths.from_environment({**os.environ, **home})
        raw = [sys.executable, RAW, str(paths.instance(NAME).agent_socket)]
        ours = partial(seconds, home)
        yield from round_trip(raw, ours)
        yield from copying(work, raw, ours)
    finally:
        run([QEMU, "kill", NAME], home)


def boot(home: dict[str, str]) -> None:
    """Boot the tiny guest, and wait for its agent."""
    guest = Path(os.environ["QEMU_CLI_TEST_GUEST"])
    create = ["create", NAME, "--accel", "tcg", "--memory", "512M"]
    create += ["--kernel", str(guest / "vmlinuz")]
    create += ["--initrd", str(guest / "initrd.gz")]
    create += ["--append", "console=ttyS0 quiet"]
    for words in create, ["start", NAME], ["wait", NAME, "--for", "agent"]:
        run([QEMU, *words], home)


def seconds(home: dict[str, str], *words: str) -> float:
    """How long ``qemu`` takes."""
    return run([QEMU, *words], home).wall_s


def round_trip(raw: list[str], ours) -> Iterator[Limit | Figure]:
    """A program that does nothing."""
    mine, bare, start = medians(
        ROUNDS,
        lambda: ours("exec", NAME, "-n", "--", "true"),
        lambda: run([*raw, "exec", "/bin/true"], {}).wall_s,
        lambda: ours("exec", "--help"),
    )
    yield Limit(
        f"exec ({mine * 1000:.0f} ms) / a raw client ({bare * 1000:.0f} ms) "
        f"+ exec --help ({start * 1000:.0f} ms)",
        mine / (bare + start),
        1.3,
    )


def copying(work: Path, raw: list[str], ours) -> Iterator[Limit]:
    """A file that can't be compressed, in each direction."""
    source, back = work / "source", work / "back"
    source.write_bytes(os.urandom(UP_MIB << 20))
    mine, bare = medians(
        ROUNDS,
        lambda: ours("cp", str(source), f"{NAME}:/up"),
        lambda: run([*raw, "up", str(source), "/up"], {}).wall_s,
    )
    yield _limit("into", UP_MIB, mine, bare)
    double = f"cat /up /up >/down; test $(stat -c %s /down) = {DOWN_MIB << 20}"
    ours("exec", NAME, "-n", "--", "sh", "-c", double)
    mine, bare = medians(
        ROUNDS,
        lambda: ours("cp", f"{NAME}:/down", str(back)),
        lambda: run([*raw, "down", "/down", str(back)], {}).wall_s,
    )
    yield _limit("out of", DOWN_MIB, mine, bare)


def _limit(way: str, mib: int, mine: float, bare: float) -> Limit:
    what = (
        f"cp {way} a guest ({mib / mine:.1f} MiB/s) / a raw client "
        f"({mib / bare:.1f} MiB/s)"
    )
    return Limit(what, bare / mine, 0.9, at_least=True)
