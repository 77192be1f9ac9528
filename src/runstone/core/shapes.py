"""The lengths of the axes of arrays, whether these are numpy's or nested sequences, and places in them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from runstone.errors import InputError

Shape = tuple[int | None, ...]
"""Lengths, outermost axis first. None where nobody can know, because an outer axis is empty."""


def measure(name: str, value: Any, rank: int) -> Shape:
    """The lengths of the first `rank` axes of nested sequences or an array.

    Raises InputError, naming the array and the place, if it is not that deep or not rectangular.
    """
    if is_array(value):
        if value.ndim < rank:
            raise InputError(f"{name!r} is an array with {_axes(value.ndim)}, but is mapped over {rank}")
        return tuple(value.shape[:rank])
    shape: list[int | None] = []
    level: Iterable[Any] = (value,)
    for axis in range(rank):
        length: int | None = None
        for number, part in enumerate(level):
            if not _is_sequence(part):
                where = _place(name, shape, number)
                raise InputError(f"{where} is of type {type(part).__name__}, but a list, a tuple or an array is needed")
            if length is None:
                length, first = len(part), number
            elif len(part) != length:
                raise InputError(
                    f"axis {axis + 1} of {name!r} has different lengths: {length} in {_place(name, shape, first)}, "
                    f"{len(part)} in {_place(name, shape, number)}"
                )
        shape.append(length)
        if axis + 1 < rank:
            level = list(chain.from_iterable(level))
    return tuple(shape)


def unravel(number: int, shape: Sequence[int]) -> tuple[int, ...]:
    """The place of a flat number in an array of this shape, last axis fastest."""
    place: list[int] = []
    for length in reversed(shape):
        number, at = divmod(number, length)
        place.append(at)
    return tuple(reversed(place))


def is_array(value: Any) -> bool:
    """Whether it is a numpy array; numpy is not imported to find out."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, getattr(numpy, "ndarray", ()))


def strides(shape: Sequence[int]) -> tuple[int, ...]:
    """How many elements further the next place along each axis is, last axis fastest."""
    strides: list[int] = []
    size = 1
    for length in reversed(shape):
        strides.append(size)
        size *= length
    return tuple(reversed(strides))


def _is_sequence(value: Any) -> bool:
    if isinstance(value, (list, tuple, range)):
        return True
    if is_array(value):
        return bool(value.ndim)
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview))


def _place(name: str, shape: Sequence[int | None], number: int) -> str:
    place = unravel(number, [length or 1 for length in shape])
    return repr(name + "".join(f"[{at}]" for at in place))


def _axes(count: int) -> str:
    return f"{count} {'axis' if count == 1 else 'axes'}"
