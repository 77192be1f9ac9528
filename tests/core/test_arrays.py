"""Arrays that blocks are mapped over: their shapes, their parts, and what is missing."""

from __future__ import annotations

import subprocess
import sys
from collections import UserList
from typing import Any

import numpy as np
import pytest

from runstone.core.arrays import Form, GivenArray, MappedArray, mapped_array, measure, unravel
from runstone.core.failed import Failed
from runstone.core.mapspec import parse_mapspec
from runstone.core.settings import Missing
from runstone.errors import FailedElement, InputError


def mapped(text: str, shape: tuple[int, ...], cells: list[Any], failed: list[int] | None = None) -> MappedArray:
    return mapped_array(parse_mapspec(text), "y", shape, cells, failed)


def bad(*index: int) -> Failed:
    return Failed("p", index, "ValueError", "no")


@pytest.mark.parametrize(
    ("value", "rank", "shape"),
    [
        ([1, 2, 3], 1, (3,)),
        ((1, 2), 1, (2,)),
        (range(4), 1, (4,)),
        ([], 1, (0,)),
        (UserList([1]), 1, (1,)),
        (["ab", "cd"], 1, (2,)),
        ([[1, 2], [3, 4], [5, 6]], 2, (3, 2)),
        ([[1, 2], (3, 4)], 2, (2, 2)),
        ([[1], [2, 3]], 1, (2,)),
        ([], 2, (0, None)),
        ([[], []], 3, (2, 0, None)),
        (np.zeros((2, 3)), 2, (2, 3)),
        (np.zeros((2, 3)), 1, (2,)),
        (np.zeros((0, 3)), 2, (0, 3)),
        ([np.zeros(3), np.zeros(3)], 2, (2, 3)),
    ],
)
def test_shapes_are_measured(value: Any, rank: int, shape: tuple[int | None, ...]) -> None:
    assert measure("x", value, rank) == shape


@pytest.mark.parametrize(
    ("value", "rank", "match"),
    [
        ("abc", 1, r"'x' is of type str, but a list"),
        (b"abc", 1, "bytes"),
        ({1: 2}, 1, "dict"),
        ({1, 2}, 1, "set"),
        (3, 1, "int"),
        (None, 1, "NoneType"),
        (iter([1]), 1, "iterator"),
        (np.array(3), 1, "0 axes"),
        (np.zeros(3), 2, "'x' is an array with 1 axis, but is mapped over 2"),
        (["ab", "cd"], 2, r"'x\[0\]' is of type str"),
        ([[1], 2], 2, r"'x\[1\]' is of type int"),
        ([[1, 2], [3]], 2, r"axis 2 of 'x' has different lengths: 2 in 'x\[0\]', 1 in 'x\[1\]'"),
        ([[[1], [2]], [[3], [4, 5]]], 3, r"axis 3 of 'x' .* 1 in 'x\[0\]\[0\]', 2 in 'x\[1\]\[1\]'"),
    ],
)
def test_what_is_no_array_is_refused_with_the_place(value: Any, rank: int, match: str) -> None:
    with pytest.raises(InputError, match=match):
        measure("x", value, rank)


def test_parts_of_a_given_array_keep_their_kind_unless_asked_otherwise() -> None:
    rows = GivenArray("x", [[1, 2], [3, 4]], 2)
    assert rows.take((1, None), Form.AS_GIVEN) == [3, 4]
    assert rows.take((None, 1), Form.AS_GIVEN) == [2, 4]
    assert rows.take((None, None), Form.LIST) == [[1, 2], [3, 4]]
    assert rows.take((1, None), Form.ARRAY).dtype == int
    array = GivenArray("x", np.arange(6).reshape(2, 3), 2)
    assert array.take((None, 1), Form.AS_GIVEN).tolist() == [1, 4]
    assert array.take((None, 1), Form.LIST) == [1, 4]
    assert type(array.take((None, 1), Form.LIST)) is list
    assert list(array.elements()) == [0, 1, 2, 3, 4, 5]
    assert list(rows.elements()) == [1, 2, 3, 4]


def test_a_mapped_array_is_handed_over_as_nested_lists() -> None:
    assert mapped("x[i] -> y[i]", (3,), [1, 2, 3]).whole() == [1, 2, 3]
    grid = mapped("x[i], w[j] -> y[i, j]", (2, 3), [1, 2, 3, 4, 5, 6])
    assert grid.whole() == [[1, 2, 3], [4, 5, 6]]
    assert grid.take((1, None), Form.LIST) == [4, 5, 6]
    assert grid.take((None, 1), Form.LIST) == [2, 5]
    assert grid.take((1, 1), Form.LIST) == 5
    cube = mapped("x[i], w[j], v[k] -> y[i, j, k]", (2, 2, 2), list(range(8)))
    assert cube.take((None, 1, None), Form.LIST) == [[2, 3], [6, 7]]
    assert cube.take((None, None, 0), Form.LIST) == [[0, 2], [4, 6]]


def test_the_whole_is_a_new_list_and_its_elements_are_not() -> None:
    cell = {"a": 1}
    array = mapped("x[i] -> y[i]", (1,), [cell])
    whole = array.whole()
    assert whole[0] is cell
    whole.append(2)
    assert array.cells == [cell]


def test_an_empty_array_stays_empty() -> None:
    assert mapped("x[i] -> y[i]", (0,), []).whole() == []
    assert mapped("x[i], w[j] -> y[i, j]", (2, 0), []).whole() == [[], []]
    assert mapped("x[i] -> y[i, j]", (0,), []).shape == (0, 0)
    assert mapped("x[i], w[j] -> y[i, j]", (0, 2), []).whole(Form.ARRAY).shape == (0, 0)


def test_inner_axes_come_out_of_the_cells() -> None:
    array = mapped("x[i] -> y[i, j]", (2,), [[1, 2, 3], (4, 5, 6)])
    assert array.shape == (2, 3)
    assert array.whole() == [[1, 2, 3], [4, 5, 6]]
    assert array.take((None, 2), Form.LIST) == [3, 6]
    assert array.elements() == [1, 2, 3, 4, 5, 6]


def test_axes_may_be_swapped_and_mixed() -> None:
    swapped = mapped("x[i] -> y[j, i]", (2,), [[1, 2, 3], [4, 5, 6]])
    assert swapped.whole() == [[1, 4], [2, 5], [3, 6]]
    assert swapped.take((1, None), Form.LIST) == [2, 5]
    mixed = mapped("x[i], w[k] -> y[i, j, k]", (2, 2), [[1, 2], [3, 4], [5, 6], [7, 8]])
    assert mixed.shape == (2, 2, 2)
    assert mixed.whole() == [[[1, 3], [2, 4]], [[5, 7], [6, 8]]]


@pytest.mark.parametrize("text", ["x[i] -> y[i, j]", "x[i] -> y[j, i]", "x[i] -> y[j, i, k]", "x[i] -> y[k, j, i]"])
def test_cells_that_are_arrays_give_the_same_as_cells_that_are_lists(text: str) -> None:
    rank = text.count("j") + text.count("k")
    cells = [np.arange(2 * 3 ** (rank - 1)).reshape((2, 3)[:rank]) + 10 * number for number in range(4)]
    arrays, lists = mapped(text, (4,), list(cells)), mapped(text, (4,), [cell.tolist() for cell in cells])
    assert arrays.shape == lists.shape
    assert arrays.whole() == lists.whole() == arrays.whole(Form.ARRAY).tolist()
    assert list(arrays.elements()) == lists.elements()
    index = (1,) + (None,) * rank
    assert arrays.take(index, Form.LIST) == lists.take(index, Form.LIST)


def test_an_array_handed_over_is_nobody_elses() -> None:
    array = mapped("x[i] -> y[i, j]", (2,), [np.zeros(2), np.zeros(2)])
    array.whole(Form.ARRAY)[:] = 7
    assert array.whole() == [[0, 0], [0, 0]]


def test_cells_that_disagree_about_an_inner_axis_are_refused() -> None:
    with pytest.raises(InputError, match="axis 'j' of 'y' has different lengths: 2 in element 0, 3 in element 2"):
        mapped("x[i] -> y[i, j]", (3,), [[1, 2], [3, 4], [5, 6, 7]]).whole()
    with pytest.raises(InputError, match=r"'y\[1\]' is of type int"):
        mapped("x[i] -> y[i, j]", (2,), [[1, 2], 3]).whole()
    with pytest.raises(InputError, match="different lengths"):
        mapped("x[i] -> y[i, j]", (2,), [np.zeros(2), np.zeros(3)]).whole()


@pytest.mark.parametrize(
    ("elements", "kind"),
    [
        ([1, 2], "i"),
        ([1, 2.5], "f"),
        ([True, False], "b"),
        ([1, 2j], "c"),
        ([True, 2], "O"),
        ([1, "a"], "O"),
        (["a", "b\0"], "O"),
        ([None, 1.0], "O"),
        ([2**70, 1], "O"),
        ([2**63, -1], "O"),
        ([[1], [2]], "O"),
        ([[1], [2, 3]], "O"),
        ([np.zeros(2), np.zeros(2)], "O"),
        ([np.float32(1), np.float32(2)], "f"),
        ([{"a": 1}, {}], "O"),
    ],
)
def test_an_array_has_numbers_if_all_elements_are_and_else_the_elements_themselves(
    elements: list[Any], kind: str
) -> None:
    array = mapped("x[i] -> y[i]", (2,), elements).whole(Form.ARRAY)
    assert (array.shape, array.dtype.kind) == ((2,), kind)
    if kind == "O":
        assert all(one is other for one, other in zip(array, elements, strict=True))


def test_failed_cells_are_left_out_or_kept() -> None:
    one = bad(1)
    array = mapped("x[i] -> y[i]", (3,), [1, one, 3])
    assert array.failed == [1]
    assert array.whole(missing=Missing.DROP) == [1, 3]
    assert array.whole(missing=Missing.KEEP) == array.whole() == [1, one, 3]
    assert array.whole(Form.ARRAY, Missing.DROP).tolist() == [1, 3]
    assert array.whole(Form.ARRAY, Missing.DROP).dtype == int
    assert array.whole(Form.ARRAY, Missing.KEEP)[1] is one
    assert mapped("x[i] -> y[i]", (1,), [one]).whole(missing=Missing.DROP) == []


def test_failed_cells_are_left_out_of_the_innermost_list() -> None:
    one = bad(0, 1)
    grid = mapped("x[i], w[j] -> y[i, j]", (2, 2), [1, one, 3, 4])
    assert grid.whole(missing=Missing.DROP) == [[1], [3, 4]]
    assert grid.take((None, 1), Form.LIST, Missing.DROP) == [4]
    assert grid.take((0, None), Form.LIST, Missing.DROP) == [1]
    assert grid.take((0, None), Form.LIST, Missing.KEEP) == [1, one]


def test_an_array_with_gaps_is_refused_unless_it_stays_rectangular() -> None:
    with pytest.raises(FailedElement, match="'y' is no longer rectangular"):
        mapped("x[i], w[j] -> y[i, j]", (2, 2), [1, bad(0, 1), 3, 4]).whole(Form.ARRAY, Missing.DROP)
    column = mapped("x[i], w[j] -> y[i, j]", (2, 2), [1, bad(0, 1), 3, bad(1, 1)])
    assert column.whole(Form.ARRAY, Missing.DROP).tolist() == [[1], [3]]


def test_a_failed_cell_with_inner_axes_leaves_as_a_whole() -> None:
    one = bad(1)
    array = mapped("x[i] -> y[i, j]", (3,), [[1, 2], one, [5, 6]])
    assert array.shape == (3, 2)
    assert array.whole(missing=Missing.DROP) == [[1, 2], [5, 6]]
    assert array.whole(missing=Missing.KEEP) == [[1, 2], [one, one], [5, 6]]
    assert array.take((None, 1), Form.LIST, Missing.DROP) == [2, 6]
    swapped = mapped("x[i] -> y[j, i]", (3,), [[1, 2], one, [5, 6]])
    assert swapped.whole(missing=Missing.DROP) == [[1, 5], [2, 6]]
    assert swapped.whole(missing=Missing.KEEP) == [[1, one, 5], [2, one, 6]]
    grid = mapped("x[i], w[k] -> y[i, k, j]", (2, 2), [[1, 2], bad(0, 1), [3, 4], [5, 6]])
    assert grid.whole(missing=Missing.DROP) == [[[1, 2]], [[3, 4], [5, 6]]]
    assert grid.take((0, None, None), Form.LIST, Missing.DROP) == [[1, 2]]
    empty = mapped("x[i], w[k] -> y[i, k, j]", (1, 2), [[], bad(0, 1)])
    assert empty.whole(missing=Missing.DROP) == [[[]]]


def test_arrays_of_numbers_with_a_failed_cell_stay_arrays_when_it_is_dropped() -> None:
    array = mapped("x[i] -> y[i, j]", (3,), [np.zeros(2), bad(1), np.ones(2)])
    whole = array.whole(Form.ARRAY, Missing.DROP)
    assert whole.tolist() == [[0, 0], [1, 1]]
    assert whole.dtype == float
    assert array.whole(Form.ARRAY, Missing.KEEP).shape == (3, 2)


def test_places_that_stand_for_one_failed_cell_are_known() -> None:
    one = bad(1)
    assert mapped("x[i] -> y[i]", (2,), [1, one]).failed_at((True,)) == {1: one}
    assert mapped("x[i] -> y[i]", (2,), [1, 2]).failed_at((True,)) == {}
    inner = mapped("x[i] -> y[j, i]", (2,), [[1, 2], one])
    assert inner.failed_at((True, True)) == {1: one, 3: one}
    assert inner.failed_at((False, True)) == {1: one}
    assert inner.failed_at((True, False)) == {}


def test_what_is_known_to_have_failed_is_not_searched() -> None:
    array = mapped("x[i] -> y[i]", (2,), [1, bad(1)], failed=[1])
    assert array.failed == [1]
    assert array.whole(missing=Missing.DROP) == [1]


def test_flat_numbers_become_places() -> None:
    assert [unravel(number, (2, 3)) for number in range(6)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert unravel(0, ()) == ()


def test_numpy_is_not_imported_to_map_over_lists() -> None:
    script = """
import sys
from runstone.core.arrays import form_of, GivenArray
assert form_of(list[int]) and GivenArray("x", [[1], [2]], 2).elements() == [1, 2]
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
