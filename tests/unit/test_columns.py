"""Both faces of values."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from qemu_cli.columns import (
    Duration,
    Named,
    Names,
    Percent,
    Rate,
    Size,
    State,
    flat,
    human,
    plain,
)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2**20 - 1, "1.0 MiB"),
        (2**31, "2.0 GiB"),
        (2**63, "8.0 EiB"),
    ],
)
def test_sizes(size_bytes, text):
    assert human(Size(size_bytes)) == text
    assert plain(Size(size_bytes)) == size_bytes


def test_a_size_in_another_unit_keeps_its_number():
    assert human(Size(512, unit=2**20)) == "512.0 MiB"
    assert plain(Size(512, unit=2**20)) == 512


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0304, "30ms"),
        (1.4, "1s"),
        (61, "1m 1s"),
        (3 * 3600 + 12 * 60 + 5, "3h 12m"),
        (86400, "1d 0h"),
        (400 * 86400 + 7200, "400d 2h"),
    ],
)
def test_durations(seconds, text):
    assert human(Duration(seconds)) == text
    assert plain(Duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("bytes_s", "text"),
    [
        (0.0, "0B/s"),
        (999.4, "999B/s"),
        (1000, "1.0K/s"),
        (10 * 1024, "10K/s"),
        (1023 * 1024, "1.0M/s"),
        (1.5 * 2**30, "1.5G/s"),
        (2.0**70, "1024E/s"),
    ],
)
def test_rates_are_short(bytes_s, text):
    assert human(Rate(bytes_s)) == text
    assert plain(Rate(bytes_s)) == bytes_s
    assert len(text) <= 7


def test_percent():
    assert human(Percent(150.04)) == "150.0%"
    assert plain(Percent(150.04)) == 150.04


def test_what_is_not_known_is_empty_and_null():
    for value in (
        None,
        Size(None),
        Duration(None),
        Rate(None),
        Percent(None),
    ):
        assert human(value) == ""
        assert plain(value) is None


def test_words():
    assert human(Names(["a", "b"])) == "a, b"
    assert plain(Names(("a", "b"))) == ["a", "b"]
    assert human(Named({"a": 1}, "one a")) == "one a"
    assert plain(Named({"a": 1}, "one a")) == {"a": 1}
    assert human(True) == "yes"
    assert State("running").colour != State("crashed").colour
    assert State("stopped").colour is None


class Tuple(NamedTuple):
    a: int
    b: tuple[int, ...]


class Struct(msgspec.Struct):
    a: object


@dataclasses.dataclass
class Data:
    a: object


def test_results_of_services_become_plain_data():
    nested = Struct(Data(Tuple(1, (Size(2), Path("/x")))))
    expected = {"a": {"a": {"a": 1, "b": [2, "/x"]}}}
    assert plain(nested) == expected


def test_other_objects_are_a_mistake():
    with pytest.raises(TypeError, match="object"):
        plain(object())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (1, "1"),
        (["a", 1], "a,1"),
        ({"a": [1]}, '{"a": [1]}'),
        ([{"ä": 1}], '[{"ä": 1}]'),
    ],
)
def test_flat_text(value, text):
    assert flat(value) == text
