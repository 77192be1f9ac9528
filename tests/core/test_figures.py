"""Numbers as people read them."""

from __future__ import annotations

import pytest

from runstone.core.figures import ago, coarse, duration, size


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0.0 ms"),
        (-1, "0.0 ms"),
        (0.00042, "0.4 ms"),
        (0.0094, "9.4 ms"),
        (0.0096, "10 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (86_399, "23 h 59 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_told_in_the_units_it_needs(seconds: float, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "1 s"),
        (9.4, "9 s"),
        (22, "20 s"),
        (57, "55 s"),
        (58, "1 min"),
        (200, "3 min"),
        (7000, "2 h"),
        (200_000, "2 d"),
    ],
)
def test_an_estimate_is_told_as_coarsely_as_it_deserves(seconds: float, told: str) -> None:
    assert coarse(seconds) == told


def test_what_was_just_now_is_not_counted_in_seconds() -> None:
    assert ago(1.4) == "just now"
    assert ago(130) == "2 min ago"


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (9_960, "10 kB"),
        (999_400, "999 kB"),
        (999_600, "1.0 MB"),
        (10**21, "1,000 EB"),
    ],
)
def test_a_size_is_told_in_powers_of_a_thousand(count: int, told: str) -> None:
    assert size(count) == told
