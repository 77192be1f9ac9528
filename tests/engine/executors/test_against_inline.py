"""Any pipeline gives the same in worker processes and threads as inline."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstone import Failed, Pipeline
from tests.engine.executors.conftest import way_called
from tests.engine.executors.ways import INLINE, Way, told


class Told(Exception):
    """What blocks in these tests raise."""


def first(x: int, bad: list[int], k: int) -> tuple[int, str]:
    if x in bad:
        raise Told(f"first {x}")
    return x * k, "s" * x


def second(a: int, bad2: list[int]) -> Any:
    if a in bad2:
        raise Told(f"second {a}")
    return [None, a, str(a), {"a": a}, (a,), float(a)][a % 6]


def crossed(a: int, y: int) -> int:
    return a * y


def gathered(c: list[Any], b: list[Any]) -> Any:
    return [[str(cell) for cell in row] for row in c], [None if isinstance(one, Failed) else one for one in b]


def made(way: Way, tolerant: bool, retries: int, missing: Any) -> Pipeline:
    on_error: Any = "continue"
    return Pipeline(
        "p",
        [
            way.block(first, output=("a", "s"), mapspec="x[i] -> a[i], s[i]", on_error=on_error, retries=retries),
            way.block(second, output="b", mapspec="a[i] -> b[i]", on_error=on_error),
            way.block(crossed, output="c", mapspec="a[i], y[j] -> c[i, j]", on_error=on_error),
            way.block(gathered, output="all", missing=missing),
        ],
        on_error="continue" if tolerant else "fail",
    )


@pytest.mark.parametrize("executor", ["threads", "processes", "auto", "awaited", "process pool"])
@settings(max_examples=12, deadline=None)
@given(
    xs=st.lists(st.integers(0, 9), max_size=12),
    ys=st.lists(st.integers(-2, 2), max_size=3),
    bad=st.lists(st.integers(0, 9), max_size=3),
    bad2=st.lists(st.integers(0, 20), max_size=3),
    k=st.integers(0, 2),
    tolerant=st.booleans(),
    retries=st.integers(0, 2),
    missing=st.sampled_from(["keep", "drop"]),
    kept=st.booleans(),
)
def test_a_run_is_the_same_as_inline(
    executor: str,
    xs: list[int],
    ys: list[int],
    bad: list[int],
    bad2: list[int],
    k: int,
    tolerant: bool,
    retries: int,
    missing: str,
    kept: bool,
) -> None:
    params = {"x": xs, "y": ys, "bad": bad, "bad2": bad2, "k": k}
    found = []
    with tempfile.TemporaryDirectory() as place:
        for name in (INLINE, executor):
            way = way_called(name)
            pipeline = made(way, tolerant, retries, missing)
            found.append(told(way.run(pipeline, params, run_folder=f"{place}/{name}" if kept else None)))
    assert found[0] == found[1]
