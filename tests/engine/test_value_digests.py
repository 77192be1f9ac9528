"""Digests of values: equal only for values that are equal, with the code of the classes in them."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import json
import logging
from pathlib import Path
from typing import Any

import numpy
import pytest

from runstone.engine.value_digests import Digests
from tests import scripts


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


DIFFERENT: list[Any] = [
    None, True, False, 0, 1, -1, 2**70, 0.0, -0.0, 1.0, "", "1", "a", b"", b"a", (), [], {}, set(), frozenset(),
    (1,), [1], {1}, {"a": 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, "x" * 10_000, "x" * 10_001, list(range(5_000)),
    tuple(range(5_000)), Point(1), Point(2), Point(1, 2), [Point(1)], Colour.RED, Colour.BLUE, Path("a"), Path("b"),
    numpy.int64(1), numpy.int32(1), numpy.arange(3), numpy.arange(3.0), numpy.arange(4).reshape(2, 2),
    numpy.arange(4), numpy.zeros(100_000), len, max, Point, json, logging, 1j, range(3),
]  # fmt: skip


def test_different_values_have_different_digests_and_the_same_ones_the_same() -> None:
    digests = Digests()
    found = [digests.of(value) for value in DIFFERENT]
    assert None not in found
    for (left, first), (right, second) in itertools.combinations(zip(DIFFERENT, found, strict=True), 2):
        assert first != second, f"{left!r} and {right!r}"
    assert [Digests().of(value) for value in DIFFERENT] == found


@pytest.mark.parametrize(
    "value", [open, iter, lambda: 1], ids=["builtin", "builtin too", "lambda"]
)  # fmt: skip
def test_functions_have_one(value: Any) -> None:
    assert Digests().of(value) is not None


def test_what_nothing_certain_can_be_said_of_has_none(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file:
        assert Digests().of(file) is None
        assert Digests().of([file]) is None
    assert Digests().of(each for each in ()) is None
    from tests import samples

    # a module of the project: which of its code is used, nobody knows
    assert Digests().of(samples) is None


def test_very_many_objects_have_one_each() -> None:
    digests = Digests()
    assert len({digests.of(Point(number)) for number in range(1_500)} - {None}) == 1_500


def test_the_code_of_a_class_counts_and_its_comments_do_not(tmp_path: Path) -> None:
    def told(body: str) -> list[str]:
        scripts.write(
            tmp_path / "job.py",
            f"""
            import collections
            from runstone.engine.value_digests import Digests

            class Place:
                def __init__(self):
                    self.names = {{"a", "b", "c"}}

                def size(self):
                    {body}

            class Odd(collections.UserDict):
                def size(self):
                    {body}

            class Own(dict):
                def size(self):
                    {body}

            for value in (Place(), [Place()], Odd(a=1), Own(a=1), Place, Place().size):
                print(Digests().of(value))
            """,
        )
        done = scripts.python("job.py", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    first = told("return 1")
    assert "None" not in first
    assert told("return 1  # a comment") == first
    assert all(before != after for before, after in zip(first, told("return 2"), strict=True))
