"""Sets of bytes of a disk, as ranges in order.  Pure."""

from collections.abc import Iterable
from typing import NamedTuple


class Range(NamedTuple):
    """Some bytes of a disk."""

    start_bytes: int
    length_bytes: int

    @property
    def end_bytes(self) -> int:
        """The first byte behind it."""
        return self.start_bytes + self.length_bytes


def union(ranges: Iterable[Range]) -> list[Range]:
    """Return what is in any of some ranges, in as few as can be."""
    found: list[Range] = []
    for each in sorted(ranges):
        if not each.length_bytes:
            continue
        if found and each.start_bytes <= found[-1].end_bytes:
            end = max(found[-1].end_bytes, each.end_bytes)
            found[-1] = _between(found[-1].start_bytes, end)
        else:
            found.append(each)
    return found


def intersection(some: list[Range], others: list[Range]) -> list[Range]:
    """Return what is in both; either is in order, and has no overlaps."""
    found = []
    left, right = list(reversed(some)), list(reversed(others))
    while left and right:
        start = max(left[-1].start_bytes, right[-1].start_bytes)
        end = min(left[-1].end_bytes, right[-1].end_bytes)
        if start < end:
            found.append(_between(start, end))
        ended = left if left[-1].end_bytes == end else right
        ended.pop()
    return found


def pieces(ranges: Iterable[Range], length_bytes: int) -> list[Range]:
    """Cut ranges into pieces that are not longer than this."""
    return [
        _between(start, min(start + length_bytes, each.end_bytes))
        for each in ranges
        for start in range(each.start_bytes, each.end_bytes, length_bytes)
    ]


def differing(
    start_bytes: int, one: bytes, other: bytes, unit_bytes: int
) -> list[Range]:
    """Find where two pieces of equal length differ, in whole units.

    :param start_bytes: where they are on the disk
    """
    if one == other:
        return []
    length = len(one)
    if length <= unit_bytes:
        return [Range(start_bytes, length)]
    half = length // 2 // unit_bytes * unit_bytes or unit_bytes
    return union(
        [
            *differing(start_bytes, one[:half], other[:half], unit_bytes),
            *differing(
                start_bytes + half, one[half:], other[half:], unit_bytes
            ),
        ]
    )


def _between(start_bytes: int, end_bytes: int) -> Range:
    return Range(start_bytes, end_bytes - start_bytes)
