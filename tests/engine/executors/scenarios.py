"""Pipelines that show every shape a run can have; each is built for one way to execute its blocks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import runstone
from runstone import Failed, Pipeline, Retries
from tests.engine.executors.ways import Way, note, noted

Scenario = tuple[Pipeline, dict[str, Any]]
SCENARIOS: dict[str, Callable[[Way, str], Scenario]] = {}
ONLY_KEPT = {"values_that_cannot_be_stored"}
"""Where nothing is kept, what this process computes need not be storable."""


def scenario(make: Callable[[Way, str], Scenario]) -> Callable[[Way, str], Scenario]:
    """Add one, under the name of the function that makes it. It is given a way, and a folder to note calls in."""
    SCENARIOS[make.__name__] = make
    return make


class Told(Exception):
    """What blocks in these tests raise."""


class Stubborn(Exception):
    """Neither pickles nor can be made again from its arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")

    def __reduce__(self) -> Any:
        raise TypeError("no")


def double(x: int) -> int:
    return 2 * x


def add(x: int, y: int) -> int:
    return x + y


def fail_on_thirds(x: int) -> int:
    if x % 3 == 0:
        raise Told(f"{x} is a third")
    return x


def fails(x: int = 1) -> int:
    raise Told(f"never {x}")


@scenario
def single_values(way: Way, place: str) -> Scenario:
    blocks = [way.block(double, output="y"), way.block(add, output="z")]
    return Pipeline("p", blocks), {"x": 3}


@scenario
def a_map(way: Way, place: str) -> Scenario:
    return Pipeline("p", [way.block(double, mapspec="x[i] -> y[i]")]), {"x": list(range(500))}


@scenario
def a_map_over_nothing(way: Way, place: str) -> Scenario:
    blocks = [way.block(double, mapspec="x[i] -> y[i]"), way.block(lambda y: list(y), name="all")]
    return Pipeline("p", blocks), {"x": []}


@scenario
def map_map_reduce(way: Way, place: str) -> Scenario:
    blocks = [
        way.block(double, mapspec="x[i] -> y[i]"),
        way.block(lambda y: y + 1, name="more", mapspec="y[i] -> z[i]"),
        way.block(lambda z: sum(z), name="total"),
    ]
    return Pipeline("p", blocks), {"x": list(range(300))}


@scenario
def an_outer_product(way: Way, place: str) -> Scenario:
    blocks = [
        way.block(add, mapspec="x[i], y[j] -> s[i, j]"),
        way.block(lambda s: [sum(row) for row in s], name="rows"),
        way.block(lambda s: list(s), name="columns", mapspec="s[:, j] -> c[j]"),
        way.block(lambda s, x: s * x, name="scaled", mapspec="s[i, j], x[i] -> t[i, j]"),
    ]
    return Pipeline("p", blocks), {"x": [1, 2, 3], "y": [10, 20]}


@scenario
def inner_axes(way: Way, place: str) -> Scenario:
    blocks = [
        way.block(lambda n: list(range(n)), name="numbers", output="k", mapspec="... -> k[i]"),
        way.block(lambda x: [x, x + 1, x + 2], name="three", mapspec="x[i] -> w[i, j]"),
        way.block(lambda w: w * 2, name="each", mapspec="w[i, j] -> v[i, j]"),
        way.block(lambda k: -k, name="minus", mapspec="k[i] -> m[i]"),
        way.block(lambda v, m: (sum(map(sum, v)), sum(m)), name="both"),
    ]
    return Pipeline("p", blocks), {"x": [1, 2], "n": 4}


@scenario
def inner_axes_that_do_not_fit(way: Way, place: str) -> Scenario:
    blocks = [way.block(lambda x: list(range(x)), name="ragged", mapspec="x[i] -> w[i, j]")]
    return Pipeline("p", blocks), {"x": [1, 2]}


@scenario
def several_outputs(way: Way, place: str) -> Scenario:
    blocks = [
        way.block(lambda x: (x, str(x)), name="two", output=("a", "b")),
        way.block(lambda v: (v, [v] * 3), name="both", mapspec="v[i] -> c[i], d[i]"),
        way.block(lambda c, d, b: (sum(c), sum(map(len, d)), b), name="end"),
    ]
    return Pipeline("p", blocks), {"x": 5, "v": [1, 2, 3]}


@scenario
def too_few_outputs(way: Way, place: str) -> Scenario:
    blocks = [
        way.block(lambda v: (v, v) if v != 2 else (v,), name="b", mapspec="v[i] -> c[i], d[i]", on_error="continue"),
        way.block(lambda: 1, name="one", output=("e", "f"), on_error="continue"),
    ]
    return Pipeline("p", blocks), {"v": [1, 2, 3]}


@scenario
def tolerated_elements(way: Way, place: str) -> Scenario:
    blocks = [
        way.block(fail_on_thirds, output="y", mapspec="x[i] -> y[i]", on_error="continue"),
        way.block(lambda y: y * 10, name="next", output="z", mapspec="y[i] -> z[i]", on_error="continue"),
        way.block(lambda z: sum(z), name="total", missing="drop"),
        way.block(
            lambda z: [one.explain() if isinstance(one, Failed) else one for one in z], name="kept", missing="keep"
        ),
    ]
    return Pipeline("p", blocks), {"x": list(range(20))}


@scenario
def all_elements_fail(way: Way, place: str) -> Scenario:
    blocks = [
        way.block(fails, output="y", mapspec="x[i] -> y[i]", on_error="continue"),
        way.block(lambda y: len(y), name="count", missing="drop"),
    ]
    return Pipeline("p", blocks, on_error="continue"), {"x": list(range(5))}


@scenario
def the_only_element_fails(way: Way, place: str) -> Scenario:
    blocks = [way.block(fails, output="y", mapspec="x[i] -> y[i]"), way.block(lambda y: len(y), name="count")]
    return Pipeline("p", blocks), {"x": [7]}


@scenario
def a_block_fails(way: Way, place: str) -> Scenario:
    blocks = [way.block(fails, output="y"), way.block(lambda y: y, name="after")]
    return Pipeline("p", blocks), {"x": 2}


@scenario
def a_tolerated_block_fails(way: Way, place: str) -> Scenario:
    blocks = [
        way.block(fails, output="y", on_error="continue", retries=2),
        way.block(lambda y: y, name="after"),
        way.block(lambda x: x, name="beside"),
    ]
    return Pipeline("p", blocks), {"x": 2}


@scenario
def elements_that_fail_once(way: Way, place: str) -> Scenario:
    calls = os.path.join(place, "once")

    def unsteady(x: int) -> int:
        note(calls, x)
        if noted(calls).count(str(x)) <= x % 3:
            raise Told(f"not yet {x}")
        return x

    blocks = [way.block(unsteady, output="y", mapspec="x[i] -> y[i]", retries=2)]
    return Pipeline("p", blocks), {"x": list(range(12))}


@scenario
def retries_run_out(way: Way, place: str) -> Scenario:
    def picky(x: int) -> int:
        if x == 3:
            raise KeyError("three")
        if x == 5:
            raise Told("five")
        return x

    settings: Any = {"retries": Retries(2, on=(Told,)), "on_error": "continue"}
    blocks = [way.block(picky, output="y", mapspec="x[i] -> y[i]", **settings)]
    return Pipeline("p", blocks), {"x": list(range(8))}


@scenario
def a_block_that_fails_twice(way: Way, place: str) -> Scenario:
    calls = os.path.join(place, "twice")

    def unsteady(x: int) -> int:
        note(calls, x)
        if len(noted(calls)) < 3:
            raise Told(f"attempt {len(noted(calls))}")
        return x

    return Pipeline("p", [way.block(unsteady, output="y", retries=4)]), {"x": 1}


@scenario
def arrays_and_tables(way: Way, place: str) -> Scenario:
    def table(x: int) -> pd.DataFrame:
        return pd.DataFrame({"a": [x, x + 1], "b": ["s", "t"]})

    def matrix(x: int) -> np.ndarray:
        return np.full((2, 3), x, dtype=np.float32)

    blocks = [
        way.block(table, mapspec="x[i] -> tables[i]"),
        way.block(matrix, mapspec="x[i] -> matrices[i]"),
        way.block(lambda tables: pd.concat(list(tables)), name="joined"),
        way.block(lambda matrices: np.sum(np.stack(list(matrices)), axis=0), name="summed"),
        way.block(lambda whole: whole.sum(), name="all"),
        way.block(lambda whole: float(whole), name="halves", mapspec="whole[k] -> h[k]"),
    ]
    return Pipeline("p", blocks), {"x": [1, 2, 3], "whole": np.arange(40.0)}


@scenario
def a_numpy_parameter_in_the_form_asked_for(way: Way, place: str) -> Scenario:
    def kind(y: np.ndarray) -> str:
        return f"{type(y).__name__} {y.dtype} {y.sum()}"

    blocks = [way.block(double, mapspec="x[i] -> y[i]"), way.block(kind)]
    return Pipeline("p", blocks), {"x": [1, 2, 3]}


@scenario
def values_that_cannot_be_stored(way: Way, place: str) -> Scenario:
    def odd(x: int) -> Any:
        return (n for n in range(3)) if x == 2 else x

    blocks = [
        way.block(odd, output="y", mapspec="x[i] -> y[i]", on_error="continue"),
        way.block(lambda x: (n for n in range(2)), name="one", on_error="continue"),
    ]
    return Pipeline("p", blocks), {"x": list(range(5))}


@scenario
def odd_but_storable_values(way: Way, place: str) -> Scenario:
    values = [None, 1.5, "text", b"bytes", {"a": (1, 2)}, [1, [2]], {3, 4}, 10**40, ..., complex(1, 2)]
    blocks = [
        way.block(lambda n, values: values[n], name="pick", output="y", mapspec="n[i] -> y[i]"),
        way.block(lambda values: values, name="same"),
    ]
    return Pipeline("p", blocks), {"n": list(range(len(values))), "values": values}


@scenario
def artifacts(way: Way, place: str) -> Scenario:
    def writes(x: int) -> int:
        path = os.path.join(place, f"note-{x}.txt")
        with open(path, "w") as file:
            file.write(f"element {x}")
        runstone.artifact(path, name=f"note-{x}.txt", metadata={"x": x})
        return x

    blocks = [
        way.block(writes, output="y", mapspec="x[i] -> y[i]", on_error="continue"),
        way.block(writes, name="one", renames={"x": "whole"}, on_error="continue"),
    ]
    return Pipeline("p", blocks), {"x": [4, 5, 6], "whole": 100}


@scenario
def extra_parameters(way: Way, place: str) -> Scenario:
    def takes(x: int, **more: Any) -> str:
        return f"{x} {sorted(more.items())}"

    blocks = [
        way.block(takes, output="y", mapspec="x[i] -> y[i]"),
        way.block(takes, name="one", output="z", renames={"x": "w"}),
    ]
    return Pipeline("p", blocks), {"x": [1, 2], "w": 5, "speed": 3, "colour": "red"}


@scenario
def conditions(way: Way, place: str) -> Scenario:
    blocks = [
        way.block(double, output="y", when=lambda x: x > 2),
        way.block(lambda y: y, name="after"),
        way.block(lambda x: -x, name="other", when=lambda x: x < 2),
        way.block(lambda x: x, name="strange", when=lambda x: 1 / 0, on_error="continue"),
    ]
    return Pipeline("p", blocks), {"x": 1}


@scenario
def defaults_and_keywords(way: Way, place: str) -> Scenario:
    def call(x: int, /, y: int = 10, *, z: int, factor: int = 2) -> int:
        return (x + y + z) * factor

    blocks = [
        way.block(call, output="a"),
        way.block(call, name="mapped", output="b", mapspec="x2[i] -> b[i]", renames={"x": "x2"}),
    ]
    return Pipeline("p", blocks), {"x": 1, "z": 3, "x2": [1, 2]}


@scenario
def renames_and_scopes(way: Way, place: str) -> Scenario:
    blocks = [
        way.block(double, output="first.y", renames={"x": "first.start"}),
        way.block(add, output="sum", renames={"x": "first.y", "y": "w"}),
        way.block(double, name="again", output="t.y", mapspec="t.x[i] -> t.y[i]", renames={"x": "t.x"}),
    ]
    return Pipeline("p", blocks), {"first.start": 3, "w": 1, "t.x": [1, 2]}


@scenario
def errors_with_causes(way: Way, place: str) -> Scenario:
    def chained(x: int) -> int:
        try:
            raise KeyError(x)
        except KeyError as error:
            raise Told(f"chained {x}") from error

    return Pipeline("p", [way.block(chained, output="y", mapspec="x[i] -> y[i]", on_error="continue")]), {"x": [1, 2]}


@scenario
def many_errors(way: Way, place: str) -> Scenario:
    blocks = [way.block(fails, output="y", mapspec="x[i] -> y[i]", on_error="continue")]
    return Pipeline("p", blocks), {"x": list(range(1200))}


@scenario
def large_values(way: Way, place: str) -> Scenario:
    blocks = [
        way.block(lambda x: bytes([x]) * 300_000, name="big", mapspec="x[i] -> y[i]"),
        way.block(lambda y: [len(one) for one in y], name="lengths"),
        way.block(lambda: b"z" * 3_000_000, name="one"),
        way.block(lambda one: len(one), name="length"),
    ]
    return Pipeline("p", blocks), {"x": list(range(20))}


@scenario
def exceptions_that_are_no_errors(way: Way, place: str) -> Scenario:
    def leaves(x: int) -> int:
        if x == 1:
            raise SystemExit(3)
        if x == 2:
            raise GeneratorExit
        return x

    return Pipeline("p", [way.block(leaves, output="y", mapspec="x[i] -> y[i]", on_error="continue")]), {"x": [0, 1, 2]}


@scenario
def exceptions_that_do_not_pickle(way: Way, place: str) -> Scenario:
    def raises(x: int) -> int:
        raise Stubborn(x, x)

    return Pipeline("p", [way.block(raises, output="y", mapspec="x[i] -> y[i]", on_error="continue")]), {"x": [0, 1]}
