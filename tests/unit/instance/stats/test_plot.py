"""Lines and pictures."""

import math
import xml.etree.ElementTree as ET

import pytest

from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.instance.stats import plot
from qemu_cli.instance.stats.counters import Counters, DiskCounters

MIB = 1 << 20


@pytest.fixture
def taken(sample):
    """Two VMs of one name, one of which does not always answer."""

    def disks(mib):
        return Counters(disks={"a": DiskCounters(mib * MIB, 0, 0, 0)})

    return [
        [sample(100.0, cpu_s=0.0, rss_bytes=MIB, counters=disks(0))],
        [
            sample(101.0, cpu_s=0.5, rss_bytes=MIB, counters=disks(3)),
            sample(101.0, pid=8, cpu_s=1.0, rss_bytes=MIB),
        ],
        [
            sample(102.0, cpu_s=0.5, rss_bytes=2 * MIB),
            sample(102.0, pid=8, cpu_s=2.0, rss_bytes=MIB),
        ],
    ]


def test_each_vm_has_a_line_in_each_chart_where_it_is_known(taken):
    cpu, memory, disk, network = plot.lines(taken)
    one, other = "web (pid 7)", "web (pid 8)"
    assert cpu == {one: ([1.0, 2.0], [50.0, 0.0]), other: ([2.0], [100.0])}
    assert memory[one] == ([1.0, 2.0], [1.0, 2.0])
    assert network == {}
    times, values = disk[one]
    assert (times, values[0]) == ([1.0, 2.0], 3.0)
    assert math.isnan(values[1])
    assert other not in disk


def test_an_svg_is_one(taken, tmp_path):
    file = tmp_path / "x.svg"
    assert plot.draw(taken, file) == 2
    assert ET.parse(file).getroot().tag.endswith("}svg")


def test_a_name_is_no_formula(sample, tmp_path):
    taken = [
        [sample(at_s, name="$\\frac{$ \x1b_$", cpu_s=at_s)]
        for at_s in (0.0, 1.0)
    ]
    assert plot.draw(taken, tmp_path / "x.png") == 1
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_was_seen_twice(sample, tmp_path):
    with pytest.raises(QemuCliError, match="nothing to draw"):
        plot.draw([[sample(0.0, cpu_s=1.0)], []], tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x.gif", "x", "png", ".png"])
def test_what_can_not_be_drawn_is_said_first(name, tmp_path):
    with pytest.raises(UsageError, match=r"\.png or \.svg"):
        plot.check(tmp_path / name)


def test_there_is_no_such_directory(tmp_path):
    with pytest.raises(QemuCliError, match="no directory"):
        plot.check(tmp_path / "none" / "x.png")


def test_without_matplotlib_the_hint_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(QemuCliError, match="matplotlib") as caught:
        plot.check(tmp_path / "x.png")
    assert caught.value.hint == "pip install 'qemu-cli[plot]'"
