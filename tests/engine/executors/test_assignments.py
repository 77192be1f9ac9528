"""Every element is handed out once, whatever comes back, and in parts that fit what they cost."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from runstone.engine.executors.assignments import LEAST_SECONDS, SECONDS, Assignments


@given(
    count=st.integers(0, 3_000),
    parallel=st.integers(1, 16),
    cost=st.sampled_from([0.0, 1e-7, 1e-4, 0.01, 3.0]),
    seed=st.integers(0, 10**6),
    listed=st.booleans(),
)
def test_every_element_is_taken_until_it_is_computed(
    count: int, parallel: int, cost: float, seed: int, listed: bool
) -> None:
    chance = random.Random(seed)
    numbers: range | list[int] = [2 * number for number in range(count)] if listed else range(count)
    assignments = Assignments(numbers, parallel)
    computed: list[int] = []
    now = 0.0
    while assignments.left:
        part = assignments.take(now)
        if part is None:
            now += 1.0
            continue
        assert 0 < len(part) <= count
        done = chance.randrange(len(part) + 1)
        computed += part[:done]
        assignments.measured(done, done * cost)
        left = part[done:]
        if left and chance.random() < 0.2:
            assignments.retry_at(now + chance.random(), left[0])
            left = left[1:]
        assignments.give_back(left)
    assert sorted(computed) == list(numbers)


def test_parts_take_about_as_long_as_they_should() -> None:
    assignments = Assignments(range(10**6), 2)
    assert len(assignments.take(0.0) or ()) == 1
    assignments.measured(1, 1e-5)
    assert len(assignments.take(0.0) or ()) == int(SECONDS / 1e-5)


def test_the_last_parts_are_small_but_worth_a_message() -> None:
    assignments = Assignments(range(2_000), 2)
    assignments.take(0.0)
    assignments.measured(1, 1e-5)
    sizes = []
    while (part := assignments.take(0.0)) is not None:
        sizes.append(len(part))
    assert min(sizes[:-1]) == int(LEAST_SECONDS / 1e-5)
    assert sizes == sorted(sizes, reverse=True)
    slow = Assignments(range(100), 2)
    slow.take(0.0)
    slow.measured(1, 1.0)
    assert len(slow.take(0.0) or ()) == 1


def test_a_retry_is_taken_when_it_is_due_and_alone() -> None:
    assignments = Assignments(range(0), 1)
    assignments.retry_at(5.0, 7)
    assert not assignments.ready(4.9)
    assert assignments.take(4.9) is None
    assert assignments.ready(5.0)
    assert assignments.take(5.0) == [7]
    assert assignments.left == 0
