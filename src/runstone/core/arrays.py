"""The arrays that blocks are mapped over: what a run was given, what one call returned, what many calls made.

Nothing is copied or converted before a consumer asks for it, and then only the container: an element is the same
object however it is taken.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from itertools import chain, product
from typing import Any

from runstone.core.failed import Failed
from runstone.core.forms import Form, flattened, form_of, listed, to_array
from runstone.core.mapspec import MapSpec
from runstone.core.settings import Missing
from runstone.core.shapes import Shape, is_array, measure, strides, unravel
from runstone.errors import InputError

__all__ = ["Form", "GivenArray", "Index", "MappedArray", "form_of", "is_array", "mapped_array", "measure", "unravel"]

Index = tuple[int | None, ...]
"""A place in an array: a number for each axis, None for the axes that are taken whole."""


class GivenArray:
    """An array that exists as one value: a parameter of the run, or what a block returned in a single call."""

    def __init__(self, name: str, value: Any, rank: int) -> None:
        self.name = name
        self.value = value
        self.shape = measure(name, value, rank)

    def elements(self) -> Sequence[Any]:
        """All elements, last axis fastest."""
        rank = len(self.shape)
        if is_array(self.value):
            return self.value if rank == 1 else self.value.reshape((-1, *self.value.shape[rank:]))  # type: ignore[no-any-return]
        return self.value if rank == 1 else flattened(self.value, rank)

    def take(self, index: Index, form: Form, missing: Missing | None = None) -> Any:
        """The part at this place. missing: without meaning here, a value that exists is whole."""
        taken = _part(self.value, index)
        depth = index.count(None)
        if form is Form.ARRAY:
            return taken if is_array(taken) else to_array(self.name, taken, depth)
        return listed(taken, depth) if form is Form.LIST and is_array(taken) else taken

    def failed_at(self, named: tuple[bool, ...]) -> dict[int, Failed]:
        """Nothing: see MappedArray."""
        return {}


class MappedArray:
    """An array of which every cell is the value of another call.

    name, axes: of the output. external: which of its axes the block was mapped over; the others, the inner ones, are
    inside the value of each cell. external_shape: lengths of the external axes. cells: flat, last axis fastest; a
    Failed where there is no value. failed: the numbers of those cells, if they are known already.
    """

    def __init__(
        self,
        name: str,
        axes: tuple[str, ...],
        external: tuple[bool, ...],
        external_shape: tuple[int, ...],
        cells: Sequence[Any],
        failed: Sequence[int] | None = None,
    ) -> None:
        self.name = name
        self.axes = axes
        self.external = external
        self.external_shape = external_shape
        self.cells = cells
        self._failed = failed
        self._shape: tuple[int, ...] | None = None
        self._elements: Any = None
        self._good: MappedArray | None = None

    @property
    def failed(self) -> Sequence[int]:
        """The numbers of the cells that have no value."""
        if self._failed is None:
            self._failed = [number for number, cell in enumerate(self.cells) if type(cell) is Failed]
        return self._failed

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of all axes, in the order of `axes`; an inner axis of which no cell has a value has length 0.

        Raises InputError if cells disagree about the inner axes.
        """
        if self._shape is None:
            inner, outer = iter(self._inner_shape()), iter(self.external_shape)
            self._shape = tuple(next(outer) if external else next(inner) for external in self.external)
        return self._shape

    def _inner_shape(self) -> tuple[int, ...]:
        rank = self.external.count(False)
        if not rank:
            return ()
        failed = set(self.failed)
        found: Shape | None = None
        for number, cell in enumerate(self.cells):
            if number in failed:
                continue
            shape = measure(f"{self.name}[{_joined(unravel(number, self.external_shape))}]", cell, rank)
            if found is None:
                found, first = shape, number
            elif shape != found:
                axis = next(axis for axis in range(rank) if shape[axis] != found[axis])
                inner_axes = [axis for axis, external in zip(self.axes, self.external, strict=True) if not external]
                raise InputError(
                    f"the axis {inner_axes[axis]!r} of {self.name!r} has different lengths: "
                    f"{found[axis]} in element {_joined(unravel(first, self.external_shape))}, "
                    f"{shape[axis]} in element {_joined(unravel(number, self.external_shape))}"
                )
        return tuple(length or 0 for length in found or (0,) * rank)

    def elements(self) -> Sequence[Any]:
        """All elements, last axis fastest; a failed cell stands at each of its inner places."""
        if all(self.external):
            return self.cells
        if self._elements is None:
            self._elements = self._stacked() if self._can_be_stacked() else self._unpacked()
        if is_array(self._elements):
            rank = len(self.axes)
            return self._elements.reshape((-1, *self._elements.shape[rank:]))  # type: ignore[no-any-return]
        return self._elements  # type: ignore[no-any-return]

    def _can_be_stacked(self) -> bool:
        """Whether the cells are equal arrays of numbers, which are kept as such to save their memory."""
        if not self.cells or not all(map(is_array, self.cells)):
            return False
        first = self.cells[0]
        if first.ndim < self.external.count(False):
            return False
        return first.dtype.kind in "biufc" and all(
            cell.dtype == first.dtype and cell.shape == first.shape for cell in self.cells
        )

    def _stacked(self) -> Any:
        import numpy

        inner = self.cells[0].shape
        stacked = numpy.stack(self.cells).reshape((*self.external_shape, *inner))
        outer_rank = len(self.external_shape)
        outer, inside = iter(range(outer_rank)), iter(range(outer_rank, stacked.ndim))
        order = [next(outer) if external else next(inside) for external in self.external]
        return numpy.ascontiguousarray(stacked.transpose([*order, *inside]))

    def _unpacked(self) -> list[Any]:
        inner_shape = [length for length, external in zip(self.shape, self.external, strict=True) if not external]
        size = math.prod(inner_shape)
        unpacked = [[cell] * size if type(cell) is Failed else flattened(cell, len(inner_shape)) for cell in self.cells]
        if self.external == tuple(sorted(self.external, reverse=True)):
            return list(chain.from_iterable(unpacked))
        steps = self._cell_strides()
        inside = iter(strides(inner_shape))
        inner_steps = [0 if external else next(inside) for external in self.external]
        return [
            unpacked[sum(map(operator.mul, place, steps))][sum(map(operator.mul, place, inner_steps))]
            for place in product(*map(range, self.shape))
        ]

    def whole(self, form: Form = Form.LIST, missing: Missing | None = None) -> Any:
        """All of it. missing: what happens to failed cells; kept if nothing is said."""
        return self.take((None,) * len(self.axes), form, missing)

    def take(self, index: Index, form: Form, missing: Missing | None = None) -> Any:
        """The part at this place.

        With missing="drop" the failed cells are left out along the last axis that is both external and taken whole.
        Raises FailedElement if an array is asked for and the gaps leave none.
        """
        if None not in index:
            return self.elements()[sum(map(_times, index, strides(self.shape)))]
        dropped: int | None = None
        if missing is Missing.DROP and self.failed:
            free = [axis for axis, number in enumerate(index) if number is None and self.external[axis]]
            if len(free) == 1 and len(self.external_shape) == 1:
                return self._without_failed().take(index, form)
            dropped = free[-1] if free else None
        elements = self.elements()
        if is_array(self._elements):
            taken = _part(self._elements, index)
            return taken.copy() if form is Form.ARRAY else listed(taken, index.count(None))
        nested = self._nested(elements, index, dropped)
        return to_array(self.name, nested, index.count(None)) if form is Form.ARRAY else nested

    def _without_failed(self) -> MappedArray:
        if self._good is None:
            failed = set(self.failed)
            cells = [cell for number, cell in enumerate(self.cells) if number not in failed]
            self._good = MappedArray(self.name, self.axes, self.external, (len(cells),), cells, ())
        return self._good

    def _nested(self, elements: Sequence[Any], index: Index, dropped: int | None) -> list[Any]:
        steps, cell_steps = strides(self.shape), self._cell_strides()
        failed = set(self.failed) if dropped is not None else set()
        free = [axis for axis, number in enumerate(index) if number is None]

        def nested(level: int, start: int, cell: int) -> list[Any]:
            axis = free[level]
            step, cell_step = steps[axis], cell_steps[axis]
            numbers: Iterable[int] = range(self.shape[axis])
            if axis == dropped:
                numbers = [number for number in numbers if cell + number * cell_step not in failed]
            elif level + 1 == len(free):
                length = self.shape[axis]
                return list(elements[start : start + (length - 1) * step + 1 : step]) if length else []
            if level + 1 == len(free):
                return [elements[start + number * step] for number in numbers]
            return [nested(level + 1, start + number * step, cell + number * cell_step) for number in numbers]

        return nested(0, sum(map(_times, index, steps)), sum(map(_times, index, cell_steps)))

    def _cell_strides(self) -> list[int]:
        """For each axis, how many cells further the next place along it is; 0 for inner axes."""
        outer = iter(strides(self.external_shape))
        return [next(outer) if external else 0 for external in self.external]

    def failed_at(self, named: tuple[bool, ...]) -> dict[int, Failed]:
        """Which places along the named axes (numbered, last fastest) stand for one failed cell alone.

        Nothing if an external axis is not named: then a place stands for several cells, see `missing`.
        """
        if not self.failed or not all(
            name or not external for name, external in zip(named, self.external, strict=True)
        ):
            return {}
        if all(self.external):
            return {number: self.cells[number] for number in self.failed}
        failed = set(self.failed)
        steps = self._cell_strides()
        taken = [axis for axis, name in enumerate(named) if name]
        found: dict[int, Failed] = {}
        for number, place in enumerate(product(*(range(self.shape[axis]) for axis in taken))):
            cell = sum(at * steps[axis] for at, axis in zip(place, taken, strict=True))
            if cell in failed:
                found[number] = self.cells[cell]
        return found


def mapped_array(
    mapspec: MapSpec, name: str, shape: tuple[int, ...], cells: list[Any], failed: Sequence[int] | None = None
) -> MappedArray:
    """What a mapped block made under one of its output names. shape, cells, failed: see MappedArray."""
    external = tuple(axis in mapspec.external_axes for axis in mapspec.output_axes)
    return MappedArray(name, mapspec.output_axes, external, shape, cells, failed)


def _part(value: Any, index: Index) -> Any:
    if not index:
        return value
    if is_array(value):
        return value[tuple(slice(None) if number is None else number for number in index)]
    number, rest = index[0], index[1:]
    if number is not None:
        return _part(value[number], rest)
    return [_part(one, rest) for one in value]


def _times(number: int | None, stride: int) -> int:
    return (number or 0) * stride


def _joined(place: Sequence[int]) -> str:
    return ", ".join(map(str, place))
