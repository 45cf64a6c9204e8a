"""Order and texts, without a screen."""

from pathlib import Path

import pytest
from qemu_cli_top.rows import (
    COLUMNS,
    Row,
    cells,
    name_width,
    ordered,
    summary,
)

from qemu_cli.instance.stats.rates import Usage
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths

MIB = 1 << 20


def row(name: str, state: str = "running", **used: object) -> Row:
    paths = InstancePaths(Path("/nowhere"), Path("/nowhere"))
    return Row(VM(name, paths, state), Usage(**used))


ROWS = [
    row("b", cpu_percent=5.0, rss_bytes=MIB),
    row("c", "paused"),
    row("a", cpu_percent=90.0, rss_bytes=3 * MIB),
]


@pytest.mark.parametrize(
    ("column", "backwards", "names"),
    [
        (0, False, "abc"),
        (0, True, "cba"),
        (1, False, "cab"),
        (3, False, "abc"),  # the largest first, what is not known last
        (3, True, "bac"),
        (5, False, "abc"),
    ],
)
def test_order(column, backwards, names):
    found = ordered(ROWS, column, backwards)
    assert "".join(each.vm.name for each in found) == names


def test_texts():
    known = row(
        "w\x1bb",
        cpu_percent=99.6,
        rss_bytes=1536 * MIB,
        disk_read_bytes_s=0.0,
        disk_write_bytes_s=2.5 * MIB,
    )
    name, *others = cells(known)
    assert "\x1b" not in name
    assert others == [
        *("running", "ours", "100%", "1.5G", "0B/s", "2.5M/s", "", ""),
    ]
    assert cells(row("x"))[3:] == ("",) * 6


def test_the_first_line():
    assert summary(ROWS) == "3 VMs, 2 running  CPU 95%  memory 4.0M"
    assert summary(ROWS[:1]).startswith("1 VM, 1 running")


@pytest.mark.parametrize("screen", [80, 132])
def test_it_fits(screen):
    others = sum(column.width for column in COLUMNS)
    assert name_width(screen) + others < screen
