"""Ranges behave like the sets of numbers they stand for."""

from __future__ import annotations

import time
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from runstone.core.ranges import (
    Range,
    add_range,
    add_ranges,
    count,
    missing_ranges,
    numbers,
    outside,
    to_ranges,
    within,
    without,
)

pieces = st.tuples(st.integers(0, 40), st.integers(-3, 12)).map(lambda piece: (piece[0], piece[0] + piece[1]))


def is_normal(ranges: list[Range]) -> bool:
    """Sorted, disjoint, not even touching, none empty."""
    flat = [edge for one in ranges for edge in one]
    return all(low < high for low, high in pairwise(flat))


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=25))
def test_adding_is_the_union_and_tells_how_many_numbers_were_new(added: list[Range]) -> None:
    ranges: list[Range] = []
    known: set[int] = set()
    for start, stop in added:
        wanted = set(range(start, stop))
        assert add_range(ranges, start, stop) == len(wanted - known)
        known |= wanted
        assert set(numbers(ranges)) == known
        assert is_normal(ranges)
        assert count(ranges) == len(known)


@settings(max_examples=200, deadline=None)
@given(st.sets(st.integers(0, 40)), st.integers(0, 45))
def test_what_is_missing_and_what_is_there_make_the_whole(there: set[int], total: int) -> None:
    ranges = to_ranges(sorted(there))
    gaps = missing_ranges(ranges, total)
    assert set(numbers(gaps)) == set(range(total)) - there
    assert is_normal(gaps)


@settings(max_examples=200, deadline=None)
@given(st.sets(st.integers(-5, 60)))
def test_numbers_become_ranges_and_come_back(there: set[int]) -> None:
    ranges = to_ranges(sorted(there))
    assert is_normal(ranges)
    assert list(numbers(ranges)) == sorted(there)


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=20), st.lists(pieces, max_size=25))
def test_adding_many_at_once_is_adding_one_after_the_other(before: list[Range], added: list[Range]) -> None:
    ranges, one_by_one = [], []
    for piece in before:
        add_range(ranges, *piece)
        add_range(one_by_one, *piece)
    new = sum(add_range(one_by_one, *piece) for piece in added)
    assert add_ranges(ranges, added) == new
    assert ranges == one_by_one
    assert is_normal(ranges)


def test_filling_many_gaps_does_not_take_longer_the_more_there_are_elsewhere() -> None:
    ranges = [(number, number + 1) for number in range(0, 400_000, 2)]
    filling = [(number, number + 1) for number in range(1, 400_000, 2)]
    start = time.thread_time()
    for first in range(0, len(filling), 5_000):
        assert add_ranges(ranges, filling[first : first + 5_000]) == 5_000
    assert ranges == [(0, 400_000)]
    assert time.thread_time() - start < 5


def test_appending_in_order_keeps_one_range() -> None:
    ranges: list[Range] = []
    for number in range(1000):
        assert add_range(ranges, number, number + 1) == 1
    assert ranges == [(0, 1000)]


def test_nothing_is_missing_from_a_map_over_nothing() -> None:
    assert missing_ranges([], 0) == []
    assert missing_ranges([], 3) == [(0, 3)]


def test_a_range_as_wide_as_64_bits_costs_no_more_than_a_narrow_one() -> None:
    ranges: list[Range] = []
    assert add_range(ranges, 0, 2**62) == 2**62
    assert add_range(ranges, 2**61, 2**63) == 2**62
    assert ranges == [(0, 2**63)]


numbers_below_40 = st.sets(st.integers(0, 39))


@given(numbers_below_40, numbers_below_40, st.integers(0, 40), st.integers(0, 40))
def test_parts_of_sets_are_what_they_are_number_by_number(
    one: set[int], other: set[int], start: int, stop: int
) -> None:
    ranges, out = to_ranges(sorted(one)), to_ranges(sorted(other))
    span = set(range(start, stop))
    for found, expected in [
        (within(ranges, start, stop), one & span),
        (outside(ranges, start, stop), span - one),
        (without(ranges, out), one - other),
    ]:
        assert list(numbers(found)) == sorted(expected)
        assert all(low < high for low, high in found)
