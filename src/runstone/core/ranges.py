"""Sets of element numbers as sorted, disjoint, half-open ranges `(start, stop)`."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

Range = tuple[int, int]

_FEW = 8


def add_range(ranges: list[Range], start: int, stop: int) -> int:
    """Put `[start, stop)` into `ranges`, in place; returns how many of its numbers were new.

    Appending behind the last range, the usual case, takes constant time.
    """
    if stop <= start:
        return 0
    if not ranges or start > ranges[-1][1]:
        ranges.append((start, stop))
        return stop - start
    last_start, last_stop = ranges[-1]
    if start == last_stop:
        ranges[-1] = (last_start, stop)
        return stop - start
    first = bisect_left(ranges, start, key=lambda item: item[1])
    last, low, high, known = first, start, stop, 0
    while last < len(ranges) and ranges[last][0] <= stop:
        low, high = min(low, ranges[last][0]), max(high, ranges[last][1])
        known += max(0, min(stop, ranges[last][1]) - max(start, ranges[last][0]))
        last += 1
    ranges[first:last] = [(low, high)]
    return stop - start - known


def add_ranges(ranges: list[Range], added: Sequence[Range]) -> int:
    """Put many ranges, in any order, into `ranges`, in place; returns how many of their numbers were new.

    Takes time in the number of those that are added or lie between them, however many there are around.
    """
    if len(added) < _FEW:
        return sum(add_range(ranges, start, stop) for start, stop in added)
    low, high = min(start for start, _ in added), max(stop for _, stop in added)
    first = bisect_left(ranges, low, key=lambda item: item[1])
    last = bisect_right(ranges, high, key=lambda item: item[0])
    between = ranges[first:last]
    merged: list[Range] = []
    for start, stop in sorted((*between, *added)):
        if merged and start <= merged[-1][1]:
            if stop > merged[-1][1]:
                merged[-1] = (merged[-1][0], stop)
        elif stop > start:
            merged.append((start, stop))
    ranges[first:last] = merged
    return count(merged) - count(between)


def missing_ranges(ranges: Iterable[Range], total: int) -> list[Range]:
    """What `ranges` leaves out of `[0, total)`."""
    gaps: list[Range] = []
    at = 0
    for start, stop in ranges:
        if at >= total:
            return gaps
        if at < min(start, total):
            gaps.append((at, min(start, total)))
        at = max(at, stop)
    if at < total:
        gaps.append((at, total))
    return gaps


def within(ranges: Sequence[Range], start: int, stop: int) -> list[Range]:
    """The numbers of `ranges` that are in `[start, stop)`; takes time in those it finds, however many there are."""
    found: list[Range] = []
    at = bisect_right(ranges, start, key=lambda item: item[1]) if start < stop else len(ranges)
    while at < len(ranges) and ranges[at][0] < stop:
        found.append((max(start, ranges[at][0]), min(stop, ranges[at][1])))
        at += 1
    return found


def contains(ranges: Sequence[Range], number: int) -> bool:
    """Whether a number is in `ranges`; takes time in the logarithm of how many they are."""
    at = bisect_right(ranges, number, key=lambda item: item[1])
    return at < len(ranges) and ranges[at][0] <= number


def outside(ranges: Sequence[Range], start: int, stop: int) -> list[Range]:
    """The numbers of `[start, stop)` that are not in `ranges`; takes time in those that lie between."""
    found: list[Range] = []
    at = start
    for low, high in within(ranges, start, stop):
        if at < low:
            found.append((at, low))
        at = high
    if at < stop:
        found.append((at, stop))
    return found


def without(ranges: Iterable[Range], out: Sequence[Range]) -> list[Range]:
    """The numbers of `ranges` that are not in `out`."""
    return [left for start, stop in ranges for left in outside(out, start, stop)]


def to_ranges(numbers: Iterable[int]) -> list[Range]:
    """Sorted numbers as ranges."""
    found: list[Range] = []
    for number in numbers:
        if found and number == found[-1][1]:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found


def numbers(ranges: Iterable[Range]) -> Iterator[int]:
    """Every number in `ranges`, in order."""
    for start, stop in ranges:
        yield from range(start, stop)


def count(ranges: Iterable[Range]) -> int:
    """How many numbers there are."""
    return sum(stop - start for start, stop in ranges)
