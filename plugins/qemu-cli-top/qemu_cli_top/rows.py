"""What the table shows: from samples to rows.  Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from qemu_cli.instance.stats.rates import Usage, usage
from qemu_cli.instance.stats.sample import Sample
from qemu_cli.instance.vm import VM
from qemu_cli.ui import printable
from qemu_cli.units import format_rate

Number = float | None


class Row(NamedTuple):
    """One VM."""

    vm: VM
    used: Usage

    @property
    def key(self) -> tuple[str, str]:
        """The same VM's is the same at each look."""
        return self.vm.origin, self.vm.reference


class Column(NamedTuple):
    """A column; the width has a blank between it and the next one."""

    title: str
    width: int
    is_number: bool


#: The first one gets what the others leave of the screen, and may fill it:
#: the blank is the second one's.
COLUMNS = (
    Column("NAME", 0, False),
    Column(" STATE", 14, False),
    Column("ORIGIN", 9, False),
    Column("CPU", 6, True),
    Column("MEM", 6, True),
    Column("READ", 8, True),
    Column("WRITE", 8, True),
    Column("NET IN", 8, True),
    Column("NET OUT", 8, True),
)
LEAST_NAME_WIDTH = 8


def name_width(screen: int) -> int:
    """What is left for names; one cell is the scroll bar's."""
    taken = sum(column.width for column in COLUMNS) + 1
    return max(LEAST_NAME_WIDTH, screen - taken)


def rows(
    before: Mapping[object, Sample], after: Sequence[Sample]
) -> list[Row]:
    """Compare samples with those of the last look, by their keys."""
    return [
        Row(sample.vm, usage(before.get(sample.key), sample))
        for sample in after
    ]


def ordered(found: Sequence[Row], column: int, backwards: bool) -> list[Row]:
    """Sort by a column; the largest numbers and the first words on top.

    What is not known comes last, either way round.
    """
    if not COLUMNS[column].is_number:
        words = sorted(found, key=lambda row: (_words(row)[column], row.key))
        return words[::-1] if backwards else words
    known = [row for row in found if _numbers(row)[column - 3] is not None]
    unknown = [row for row in found if _numbers(row)[column - 3] is None]
    known.sort(key=lambda row: row.key)
    known.sort(
        key=lambda row: _numbers(row)[column - 3] or 0.0,
        reverse=not backwards,
    )
    return known + sorted(unknown, key=lambda row: row.key)


def cells(row: Row) -> tuple[str, ...]:
    """The texts of a row, those of numbers without their blanks."""
    cpu, *sizes = _numbers(row)
    return (
        *(printable(word) for word in _words(row)),
        "" if cpu is None else f"{cpu:.0f}%",
        _size(sizes[0]).removesuffix("/s").removesuffix("B"),
        *(_size(each) for each in sizes[1:]),
    )


def summary(found: Sequence[Row]) -> str:
    """All of them together, for the first line."""
    running = sum(row.vm.state == "running" for row in found)
    cpu = sum(row.used.cpu_percent or 0.0 for row in found)
    memory = sum(row.used.rss_bytes or 0 for row in found)
    return (
        f"{len(found)} VM{'s' * (len(found) != 1)}, {running} running  "
        f"CPU {cpu:.0f}%  memory {_size(memory).removesuffix('/s')}"
    )


def _words(row: Row) -> tuple[str, str, str]:
    return row.vm.name, row.vm.state, row.vm.origin


def _numbers(row: Row) -> tuple[Number, ...]:
    used = row.used
    return (
        used.cpu_percent,
        used.rss_bytes,
        used.disk_read_bytes_s,
        used.disk_write_bytes_s,
        used.net_in_bytes_s,
        used.net_out_bytes_s,
    )


def _size(value: Number) -> str:
    return "" if value is None else format_rate(value)
