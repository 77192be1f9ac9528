"""The calls that a block makes, with the arguments of each."""

from __future__ import annotations

from collections import UserList
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.blocks import block
from runstone.core.arrays import MappedArray, mapped_array
from runstone.core.calls import CallPlan, plan_calls, split_arguments
from runstone.core.failed import Failed
from runstone.core.mapspec import parse_mapspec
from runstone.errors import InputError


def plan(function: Any, mapspec: str | None, /, extras: dict[str, Any] | None = None, **sources: Any) -> CallPlan:
    missing = sources.pop("missing", None)
    made = block(function, name="f", mapspec=mapspec, missing=missing)
    named = {name.replace("__", "."): value for name, value in sources.items()}
    return plan_calls(
        function, made.parameters, named, mapspec=made.mapspec, missing=made.settings.missing, extras=extras
    )


def results(planned: CallPlan) -> list[Any]:
    return [planned.function(*arguments) for arguments in planned.arguments(range(planned.count))]


def mapped(text: str, shape: tuple[int, ...], cells: list[Any]) -> MappedArray:
    return mapped_array(parse_mapspec(text), "y", shape, cells)


def pair(x: Any, y: Any) -> Any:
    return x, y


def test_elements_are_taken_one_by_one() -> None:
    planned = plan(lambda x: x, "x[i] -> z[i]", x=[5, 6, 7])
    assert (planned.shape, planned.count) == ((3,), 3)
    assert list(planned.arguments(range(3))) == [(5,), (6,), (7,)]
    assert list(planned.arguments(range(1, 2))) == [(6,)]
    assert list(planned.arguments([2, 0])) == [(7,), (5,)]
    assert list(map(planned.function, *planned.columns(range(3)))) == [5, 6, 7]


def test_arrays_that_share_an_axis_are_taken_together_and_the_rest_is_the_same_in_every_call() -> None:
    assert results(plan(pair, "x[i], y[i] -> z[i]", x=[1, 2], y=(3, 4))) == [(1, 3), (2, 4)]
    assert results(plan(pair, "y[i] -> z[i]", x=[1, 2], y=range(2))) == [([1, 2], 0), ([1, 2], 1)]


def test_arrays_with_different_axes_make_all_pairs_in_the_order_of_the_output() -> None:
    assert results(plan(pair, "x[i], y[j] -> z[i, j]", x=[1, 2], y=[3, 4])) == [(1, 3), (1, 4), (2, 3), (2, 4)]
    assert results(plan(pair, "x[i], y[j] -> z[j, i]", x=[1, 2], y=[3, 4])) == [(1, 3), (2, 3), (1, 4), (2, 4)]


def test_slices_are_taken_along_the_named_axes() -> None:
    grid = [[1, 2, 3], [4, 5, 6]]
    assert results(plan(lambda x: x, "x[i, :] -> z[i]", x=grid)) == grid
    assert results(plan(lambda x: x, "x[:, i] -> z[i]", x=grid)) == [[1, 4], [2, 5], [3, 6]]
    assert [list(part) for part in results(plan(lambda x: x, "x[:, i] -> z[i]", x=np.array(grid)))] == [
        [1, 4],
        [2, 5],
        [3, 6],
    ]


def test_the_container_follows_the_annotation() -> None:
    def array(y: np.ndarray) -> Any:
        return y

    def lists(y: list[int]) -> Any:
        return y

    made = mapped("x[i] -> y[i]", (2,), [1, 2])
    assert isinstance(results(plan(array, None, y=made))[0], np.ndarray)
    assert results(plan(lists, None, y=made)) == [[1, 2]]
    assert results(plan(lists, "y[i, :] -> z[i]", y=np.ones((1, 2)))) == [[1.0, 1.0]]
    assert isinstance(results(plan(array, "y[i, :] -> z[i]", y=[[1, 2]]))[0], np.ndarray)
    assert results(plan(lists, None, y=(1, 2))) == [(1, 2)]


def test_a_block_that_is_not_mapped_is_called_once() -> None:
    planned = plan(pair, None, x=1, y=2)
    assert (planned.shape, planned.count, results(planned)) == ((), 1, [(1, 2)])
    assert results(plan(lambda: 7, None)) == [7]
    assert results(plan(lambda x: [x], "... -> z[i]", x=1)) == [[1]]
    assert results(plan(lambda y: y, "y[:] -> z[k]", y=mapped("x[i] -> y[i]", (2,), [1, 2]))) == [[1, 2]]


def test_every_kind_of_parameter_is_served() -> None:
    def every(a: int, /, b: int, *, c: int, d: int = 4, **rest: int) -> Any:
        return a, b, c, d, rest

    planned = plan(every, "b[i], c[i] -> z[i]", {"e": 9}, a=1, b=[2, 3], c=[4, 5], d=6)
    assert results(planned) == [(1, 2, 4, 6, {"e": 9}), (1, 3, 5, 6, {"e": 9})]
    assert planned.arguments_of(1) == {"a": 1, "b": 3, "c": 5, "d": 6, "e": 9}
    assert results(plan(every, None, a=1, b=2, c=3, d=4)) == [(1, 2, 3, 4, {})]


def test_arguments_by_name_become_a_call_again() -> None:
    def every(a: int, /, b: int, *, c: int, **rest: int) -> Any:
        return a, b, c, rest

    planned = plan(every, "b[i] -> z[i]", {"a.x": 9}, a=1, b=[2, 3], c=4)
    positional, keywords = split_arguments(block(every).parameters, planned.arguments_of(1))
    assert every(*positional, **keywords) == (1, 3, 4, {"a.x": 9})


def test_lengths_that_disagree_are_told_with_both_arrays() -> None:
    with pytest.raises(InputError, match="axis 'i' has 2 elements in 'x' and 3 in 'y'"):
        plan(pair, "x[i], y[i] -> z[i]", x=[1, 2], y=[1, 2, 3])
    with pytest.raises(InputError, match="'x' is of type str"):
        plan(pair, "x[i], y[i] -> z[i]", x="ab", y=[1, 2])


def test_nothing_to_map_over_is_no_call() -> None:
    assert results(plan(pair, "x[i], y[j] -> z[i, j]", x=[], y=[1, 2])) == []
    assert plan(pair, "x[i], y[j] -> z[i, j]", x=[1, 2], y=[]).shape == (2, 0)
    assert plan(pair, "x[i, j], y[j] -> z[i, j]", x=[], y=[1, 2]).shape == (0, 2)
    assert plan(lambda x: x, "x[i, j] -> z[i, j]", x=[]).shape == (0, 0)


def test_any_sequence_can_be_mapped_over() -> None:
    planned = plan(lambda x: x, "x[i] -> z[i]", x=UserList([1, 2, 3]))
    assert results(planned) == [1, 2, 3]
    assert list(planned.arguments(range(1, 3))) == [(2,), (3,)]
    assert results(plan(lambda x: x, "x[i, j] -> z[j, i]", x=np.arange(4).reshape(2, 2))) == [0, 2, 1, 3]


def test_elements_with_a_failed_argument_are_known_and_not_called() -> None:
    bad = Failed("p", (1,), "ValueError", "no")
    made = mapped("x[i] -> y[i]", (3,), [1, bad, 3])
    assert plan(lambda y: y, "y[i] -> z[i]", y=made).blocked() == {1: bad}
    assert plan(pair, "y[i], x[j] -> z[j, i]", y=made, x=[0, 0]).blocked() == {1: bad, 4: bad}
    assert plan(pair, "x[i], y[i] -> z[i]", x=[0, 0, 0], y=made).blocked() == {1: bad}
    assert plan(lambda x: x, "x[i] -> z[i]", x=[1, 2]).blocked() == {}
    inner = mapped("x[i] -> y[i, j]", (2,), [bad, [1, 2]])
    assert plan(lambda y: y, "y[i, j] -> z[i, j]", y=inner).blocked() == {0: bad, 1: bad}
    assert plan(lambda y: y, "y[i, :] -> z[i]", y=inner).blocked() == {0: bad}


def test_reductions_leave_out_or_keep_what_failed() -> None:
    bad = Failed("p", (0, 1), "ValueError", "no")
    grid = mapped("x[i], w[j] -> y[i, j]", (2, 2), [1, bad, 3, 4])
    assert results(plan(lambda y: y, "y[i, :] -> z[i]", y=grid, missing="drop")) == [[1], [3, 4]]
    assert results(plan(lambda y: y, "y[i, :] -> z[i]", y=grid, missing="keep")) == [[1, bad], [3, 4]]
    assert plan(lambda y: y, "y[i, :] -> z[i]", y=grid, missing="drop").blocked() == {}
    assert results(plan(lambda y: y, None, y=grid, missing="drop")) == [[[1], [3, 4]]]


def test_two_failed_arguments_name_the_first_and_stay_in_order() -> None:
    one, two = Failed("p", (1,), "ValueError", "1"), Failed("q", (0,), "ValueError", "2")
    x, y = mapped("a[i] -> y[i]", (2,), [1, one]), mapped("a[i] -> y[i]", (2,), [two, two])
    assert list(plan(pair, "x[i], y[i] -> z[i]", x=x, y=y).blocked().items()) == [(0, two), (1, one)]
    crossed = plan(pair, "x[i], y[j] -> z[j, i]", x=x, y=y).blocked()
    assert list(crossed.items()) == [(0, two), (1, one), (2, two), (3, one)]


@given(st.data())
def test_any_way_of_asking_gives_the_same_arguments(data: st.DataObject) -> None:
    lengths = {axis: data.draw(st.integers(1, 4)) for axis in "ijk"}
    output = data.draw(st.permutations("ijk"))
    arrays = {}
    for name in "ab":
        axes = data.draw(st.lists(st.sampled_from("ijk"), unique=True, min_size=1))
        arrays[name] = (axes, np.arange(np.prod([lengths[a] for a in axes])).reshape([lengths[a] for a in axes]))
    mapped_axes = [axis for axis in output if any(axis in axes for axes, _ in arrays.values())]
    text = ", ".join(f"{name}[{', '.join(axes)}]" for name, (axes, _) in arrays.items())
    values = {name: array.tolist() for name, (_, array) in arrays.items()}
    planned = plan(lambda a, b: (a, b), f"{text} -> z[{', '.join(mapped_axes)}]", **values)
    expected = []
    for place in np.ndindex(*[lengths[axis] for axis in mapped_axes]):
        at = dict(zip(mapped_axes, place, strict=True))
        expected.append(tuple(int(array[tuple(at[axis] for axis in axes)]) for axes, array in arrays.values()))
    assert list(planned.arguments(range(planned.count))) == expected
    numbers = data.draw(st.lists(st.integers(0, planned.count - 1)))
    assert list(planned.arguments(numbers)) == [expected[number] for number in numbers]
    assert [tuple(planned.arguments_of(number).values()) for number in numbers] == [expected[n] for n in numbers]
    start = data.draw(st.integers(0, planned.count))
    assert list(planned.arguments(range(start, planned.count))) == expected[start:]
