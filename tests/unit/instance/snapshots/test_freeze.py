"""How long a guest would stand still."""

from pathlib import Path

from qemu_cli.instance.snapshots import freeze
from qemu_cli.instance.snapshots.store import Memory, Snapshot, Tree

MIB = 1 << 20


def taken(
    name: str, size_mib: int | None = None, seconds: float = 1.0
) -> Snapshot:
    memory = size_mib and Memory(
        [], (7, 2, 0), running=True, size_bytes=size_mib * MIB, seconds=seconds
    )
    return Snapshot(name, name, "internal", 0.0, (), memory=memory or None)


def known(*snapshots: Snapshot) -> float | None:
    return freeze.known_rate(Tree(snapshots=snapshots))


def test_the_last_one_tells() -> None:
    assert known() is None
    assert known(taken("a", 100), taken("b", 300, 2.0)) == 150 * MIB
    assert known(taken("a", 300, 2.0), taken("b", 100)) == 100 * MIB


def test_what_has_little_ram_or_none_does_not() -> None:
    assert known(taken("a", 100), taken("b", 63), taken("c")) == 100 * MIB
    assert known(taken("a", 63)) is None


def test_one_that_took_no_time_is_no_division_by_zero() -> None:
    assert known(taken("a", 100, 0.0)) == 100_000 * MIB


def test_the_disk_is_measured(tmp_path: Path) -> None:
    """And nothing is left on it."""
    assert freeze._measure(tmp_path) > 1 << 16
    assert list(tmp_path.iterdir()) == []


def test_how_long() -> None:
    assert freeze.Freeze(300 * MIB, 100.0 * MIB).seconds == 3.0
