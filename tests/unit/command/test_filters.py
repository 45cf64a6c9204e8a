"""Values of ``--filter`` are read as their column is."""

import pytest

from qemu_cli.command.filters import parse
from qemu_cli.errors import UsageError


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("memory_mib == 2G", 2048),
        ("memory_mib == 512", 512),
        ("size_bytes > 1K", 1025),
        ("size_bytes == 1024", 1024),
        ("read_bytes_s >= 1M/s", 2**20),
        ("uptime_s < 1h", 3599.9),
        ("uptime_s <= 90", 90),
        ("cpu_percent > 12.5%", 12.6),
        ("joined == yes", True),
        ("joined != false", True),
        ("qemu_version > 7.2.0", "7.10.1"),
        ("name < web10", "web9"),
        ("forwards contains 22", [{"guest": {"port": 22}}]),
        ("forwards ~ 22", [{"guest_port": 2222}]),
        ("reason == ", None),
        ("reason != x", None),
    ],
)
def test_keeps(words, value):
    key, operator, *text = words.split()
    assert parse((key, operator, "".join(text))).keeps(value)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("memory_mib < 2G", 2048),
        ("uptime_s > 1h", None),
        ("name ~ ^b", "abc"),
        ("name contains b", None),
    ],
)
def test_drops(words, value):
    assert not parse(words.split()).keeps(value)


@pytest.mark.parametrize(
    "words", ["memory_mib < big", "uptime_s == soon", "cpu_percent > lots%"]
)
def test_a_value_that_the_column_cannot_hold(words):
    with pytest.raises(UsageError):
        parse(words.split()).check()


def test_yes_or_no_only():
    with pytest.raises(UsageError, match="not yes or no"):
        parse(("joined", "==", "maybe")).keeps(True)
