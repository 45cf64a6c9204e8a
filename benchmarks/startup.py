"""Start-up: the instructions of ``qemu list``, also with many plug-ins.

The floor is what any cliff program has to import before its first word;
``help`` and ``version`` are measured by cliff alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import QEMU_CLI, Limit, instructions, run

CLIFF = ["-c", "import cliff.app"]
FLOOR = ["-c", "import cliff.app, cliff.lister, prettytable"]
PLUGINS = 200


def limits(work: Path) -> Iterator[Limit]:
    """:param work: an empty directory"""
    home = {"QEMU_CLI_HOME": str(work / "home")}
    listing = [QEMU_CLI, "list"]
    cliff = instructions(CLIFF)
    for command in ("help", "version"):
        cost = instructions([QEMU_CLI, command], home)
        yield Limit(f"{command} / import of cliff.app", cost / cliff, 1.15)
    floor = instructions(FLOOR)
    empty = instructions(listing, home)
    yield Limit("list, nothing running / floor", empty / floor, 1.10)
    run([QEMU_CLI, "config", "set", "alias.ls", "list"], home)
    alias = instructions([QEMU_CLI, "ls"], home)
    spelt = instructions(listing, home)  # the file of settings is read, too
    yield Limit("an alias of list / list", alias / spelt, 1.03)
    run([QEMU_CLI, "config", "unset", "alias.ls"], home)
    with one_vm(home):
        one = instructions(listing, home)
    yield Limit("list, one VM / floor", one / floor, 1.20)
    # Each import looks into one directory more, whatever is in it.
    (work / "nothing").mkdir()
    nothing = {"PYTHONPATH": str(work / "nothing")}
    without = instructions(listing, home | nothing)
    for distributions, limit in ((1, 1.05), (PLUGINS, 1.03)):
        path = work / f"plugins{distributions}"
        write_plugins(path, distributions)
        many = instructions(listing, home | {"PYTHONPATH": str(path)})
        yield Limit(
            f"list, {PLUGINS} foreign commands in {distributions} "
            "distribution(s) / without",
            many / without,
            limit,
        )


@contextmanager
def one_vm(home: dict[str, str]) -> Iterator[None]:
    """One running VM, for as long as the block lasts."""
    run([QEMU_CLI, "create", "one", "--accel", "tcg"], home)
    run([QEMU_CLI, "start", "one", "--paused"], home)
    try:
        yield
    finally:
        run([QEMU_CLI, "quit", "one"], home)
        run([QEMU_CLI, "delete", "one", "--yes"], home)


def write_plugins(path: Path, distributions: int) -> None:
    """As pip leaves them: one ``.dist-info`` each, 200 commands in all."""
    for number in range(distributions):
        info = path / f"foreign{number}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: foreign{number}\nVersion: 1.0\n"
        )
        (info / "RECORD").write_text("")
        commands = range(number, PLUGINS, distributions)
        lines = [f"foreign{each} = foreign:Command\n" for each in commands]
        (info / "entry_points.txt").write_text(
            "[qemu_cli.commands]\n" + "".join(lines)
        )
