"""Annotations: refused only when it is certain that nothing can fit."""

from __future__ import annotations

import collections.abc as abc
import enum
import os
import pathlib
import typing
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, Protocol, TypedDict, TypeVar, Union

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from runstone.core.annotations import (
    cannot_fit,
    cannot_reduce,
    element_annotation,
    hints_of,
    list_annotation,
    show,
    wants_array,
    wants_list,
)

T = TypeVar("T")
UserId = NewType("UserId", int)


class Base: ...


class Derived(Base): ...


class Other: ...


class Closable(Protocol):
    def close(self) -> None: ...


class Options(TypedDict):
    a: int


class Point(NamedTuple):
    x: int


class Colour(enum.Enum):
    RED = 1


FITS: list[tuple[Any, Any]] = [
    (int, int),
    (int, float),
    (int, complex),
    (bool, int),
    (bool, float),
    (Derived, Base),
    (Base, Derived),
    (Any, int),
    (int, Any),
    (object, int),
    (int, object),
    (T, int),
    (int, T),
    ("Unknown", int),
    (int, "Unknown"),
    (Other, Closable),
    (int, int | None),
    (int | None, int),
    (None, Optional[int]),  # noqa: UP045
    (Union[int, str], Union[str, bytes]),  # noqa: UP007
    (list[int], list),
    (list, list[int]),
    (list[int], list[float]),
    (list[int], abc.Sequence[int]),
    (list[int], typing.Iterable[Any]),
    (list[int], abc.Sized),
    (dict[str, int], abc.Mapping[str, float]),
    (tuple[int, str], tuple[int, str]),
    (tuple[int, ...], tuple[float, float]),
    (tuple[int, str], abc.Sequence[Any]),
    (abc.Iterable[int], list[int]),
    (Options, dict),
    (dict, Options),
    (Point, tuple),
    (UserId, int),
    (int, UserId),
    (Annotated[int, "metres"], float),
    (Literal["a"], str),
    (str, Literal["a", "b"]),
    (pathlib.Path, pathlib.PurePath),
    (np.float64, float),
    (np.int64, int),
    (float, np.float32),
    (np.ndarray, npt.NDArray[np.float64]),
    (Base, abc.Hashable),
    (Base, abc.Iterable),
    (abc.Sequence, abc.Hashable),
    (int, typing.SupportsFloat),
    (str, os.PathLike | str),
    (Colour, enum.Enum),
    (type[int], type),
    (typing.Callable[[int], int], typing.Callable[..., Any]),
]

CANNOT: list[tuple[Any, Any]] = [
    (int, str),
    (str, int),
    (float, int),
    (str, bytes),
    (None, int),
    (int, None),
    (Base, Other),
    (Base, str),
    (int | str, bytes),
    (int, str | bytes | None),
    (list[int], list[str]),
    (list[list[int]], list[int]),
    (list[int], abc.Sequence[str]),
    (list, dict),
    (list[int], tuple[int, ...]),
    (dict[str, int], dict[str, str]),
    (dict, list),
    (tuple[int, str], tuple[int]),
    (tuple[int, str], tuple[int, int]),
    (tuple[int, ...], tuple[str, ...]),
    (pathlib.Path, str),
    (int, abc.Sized),
    (int, abc.Sequence),
    (abc.Sequence, int),
    (Literal["a"], int),
    (np.ndarray, list),
    (list, np.ndarray),
    (pd.DataFrame, dict),
    (Options, list),
    (UserId, str),
    (Annotated[int, "metres"], str),
    (Colour, int),
    (set[int], set[str]),
]


@pytest.mark.parametrize(("produced", "consumed"), FITS)
def test_what_may_fit_is_let_through(produced: Any, consumed: Any) -> None:
    assert cannot_fit(produced, consumed) is None


@pytest.mark.parametrize(("produced", "consumed"), CANNOT)
def test_what_cannot_fit_is_told(produced: Any, consumed: Any) -> None:
    assert cannot_fit(produced, consumed) == f"{show(produced)} is not {show(consumed)}"


@pytest.mark.parametrize(
    ("annotation", "axes", "element"),
    [
        (list[str], 1, str),
        (list[list[int]], 2, int),
        (tuple[int, ...], 1, int),
        (abc.Sequence[int], 1, int),
        (list, 1, Any),
        (np.ndarray, 2, Any),
        (Any, 1, Any),
        (list[str] | None, 1, Any),
        (Other, 1, Any),
        (int, 0, int),
        ("list[str]", 1, Any),
    ],
)
def test_the_annotation_of_an_element(annotation: Any, axes: int, element: Any) -> None:
    assert element_annotation(annotation, axes) == (element, None)


def test_a_tuple_of_different_things_gives_either() -> None:
    element, _ = element_annotation(tuple[int, str], 1)
    assert cannot_fit(element, str) is None
    assert cannot_fit(element, bytes)


@pytest.mark.parametrize(
    ("annotation", "axes"), [(int, 1), (str, 1), (None, 1), (dict[str, int], 1), (list[int], 2), (int | str, 1)]
)
def test_what_has_no_elements_is_told(annotation: Any, axes: int) -> None:
    assert "has no elements to map over" in str(element_annotation(annotation, axes)[1])


def test_a_reduction_gives_nested_lists_or_an_array() -> None:
    assert list_annotation(int, 2) == list[list[int]]
    for fits in (list[int], list, abc.Sequence[float], Any, np.ndarray, npt.NDArray[np.int64], list[int | None], T):
        assert cannot_reduce(int, 1, fits) is None
    assert cannot_reduce(Any, 2, list[list[str]]) is None
    for wrong in (int, dict, list[str], list[list[int]], tuple[int, ...], str):
        assert "receives all elements together" in str(cannot_reduce(int, 1, wrong))


@pytest.mark.parametrize(
    ("annotation", "array", "lists"),
    [
        (np.ndarray, True, False),
        (npt.NDArray[np.float64], True, False),
        (Annotated[np.ndarray[Any, np.dtype[Any]], int], True, False),
        (np.ndarray | None, True, False),
        ("np.ndarray", True, False),
        ("npt.NDArray[float]", True, False),
        (list[int], False, True),
        (list, False, True),
        (list[int] | None, False, True),
        (Any, False, False),
        (abc.Sequence[int], False, False),
        (int, False, False),
    ],
)
def test_the_container_that_is_asked_for(annotation: Any, array: bool, lists: bool) -> None:
    assert (wants_array(annotation), wants_list(annotation)) == (array, lists)


def test_annotations_of_a_function_are_resolved_one_by_one_if_need_be() -> None:
    def function(a: int, b: Missing, c: list[str] | None) -> None: ...  # type: ignore[name-defined] # noqa: F821

    assert hints_of(function) == {"a": int, "b": "Missing", "c": list[str] | None, "return": type(None)}


def test_functions_without_annotations_have_none() -> None:
    assert hints_of(len) == {}
    assert hints_of(lambda x: x) == {}
