"""Sizes and durations as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemu_cli.errors import UsageError
from qemu_cli.units import SIZE_MAX, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1", 1),
        ("512", 512),
        ("1k", 1024),
        ("2G", 2 * 1024**3),
        ("2g", 2 * 1024**3),
        ("2GB", 2 * 1024**3),
        ("2GiB", 2 * 1024**3),
        (" 2G ", 2 * 1024**3),
        ("2.5G", 5 * 1024**3 // 2),
        ("0.5k", 512),
        ("1.0001k", 1024),
        ("1T", 1024**4),
        ("9223372036854775807", 2**63 - 1),
        ("8388607T", 8388607 * 1024**4),
    ],
)
def test_size(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "-1", "+1", "0", "0G", "0.0001", "2X", "G", "1e99", "nan"),
        *("inf", "1,5G", "1.G", ".5G", "1 G", "0x10", "1_000", "2GG", "½G"),
        *("٣G", "9223372036854775808", "8388608T", "9" * 400),
    ],
)
def test_size_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_size(text)
    assert text in str(refusal.value)
    assert refusal.value.hint is not None
    assert "512M" in refusal.value.hint


@given(st.integers(1, SIZE_MAX))
def test_size_in_bytes_is_exact(size_bytes: int) -> None:
    assert parse_size(str(size_bytes)) == size_bytes


@given(st.text(max_size=12))
def test_size_is_a_positive_number_or_refused(text: str) -> None:
    try:
        size_bytes = parse_size(text)
    except UsageError:
        return
    assert 1 <= size_bytes <= SIZE_MAX


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("10", 10),
        ("10s", 10),
        ("2m", 120),
        ("1h", 3600),
        ("1d", 86400),
        ("500ms", 0.5),
        ("1.5H", 5400),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "-1", "1y", "s", "1e9", "nan", "inf", "1 s", "1m30s"]
)
def test_duration_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_duration(text)
    assert refusal.value.hint is not None
    assert "500ms" in refusal.value.hint
