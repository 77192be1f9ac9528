"""The containers in which several elements are handed to a function: lists or numpy arrays."""

from __future__ import annotations

import enum
from itertools import chain
from typing import Any

from runstone.core.annotations import wants_array, wants_list
from runstone.core.shapes import measure
from runstone.errors import FailedElement, InputError


class Form(enum.Enum):
    """In which container several elements are handed to a function."""

    AS_GIVEN = "as given"
    """What the caller or the block made an array stays one; everything else becomes a list."""
    LIST = "list"
    """Nested lists."""
    ARRAY = "array"
    """A numpy array; of numbers if all elements are, else of objects."""


def form_of(annotation: Any) -> Form:
    """The container that a parameter with this annotation is given."""
    if annotation is Any:
        return Form.AS_GIVEN
    if wants_array(annotation):
        return Form.ARRAY
    return Form.LIST if wants_list(annotation) else Form.AS_GIVEN


def flattened(value: Any, rank: int) -> list[Any]:
    """The elements of nested sequences, last axis fastest."""
    for _ in range(rank - 1):
        value = chain.from_iterable(value)
    return list(value)


def listed(value: Any, depth: int) -> Any:
    """Nested lists of the same elements, so many axes deep."""
    return [listed(one, depth - 1) for one in value] if depth else value


def to_array(name: str, nested: list[Any], rank: int) -> Any:
    """A numpy array of nested lists, with exactly so many axes: elements that are lists or arrays stay elements."""
    import numpy

    try:
        shape = tuple(length or 0 for length in measure(name, nested, rank))
    except InputError:
        raise FailedElement(
            f"without its failed elements {name!r} is no longer rectangular, so it cannot be an array; "
            f"take it as a list, or say missing='keep'"
        ) from None
    flat = flattened(nested, rank)
    kinds = set(map(type, flat))
    if kinds <= {int, float} or kinds <= {int, float, complex} or kinds == {bool} or _are_numpy_numbers(kinds):
        numbers = numpy.array(flat) if flat else numpy.empty(0)
        # Integers that fit no width together would silently become floats.
        if numbers.dtype.kind != "f" or kinds != {int}:
            return numbers.reshape(shape)
    objects = numpy.empty(len(flat), dtype=object)
    for number, one in enumerate(flat):
        objects[number] = one
    return objects.reshape(shape)


def _are_numpy_numbers(kinds: set[type]) -> bool:
    import numpy

    return len(kinds) == 1 and issubclass(next(iter(kinds)), (numpy.number, numpy.bool_, numpy.datetime64))
