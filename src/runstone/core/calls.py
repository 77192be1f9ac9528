"""Which calls a block makes, with which arguments."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

from runstone.core.arrays import Form, GivenArray, MappedArray, form_of, is_array, unravel
from runstone.core.failed import Failed
from runstone.core.graph import Graph, Parameter
from runstone.core.mapspec import ArraySpec, MapSpec
from runstone.core.settings import Missing
from runstone.core.shapes import measure
from runstone.errors import InputError


def plan_calls(
    function: Callable[..., Any],
    parameters: Sequence[Parameter],
    sources: Mapping[str, Any],
    *,
    mapspec: MapSpec | None = None,
    missing: Missing | None = None,
    extras: Mapping[str, Any] | None = None,
) -> CallPlan:
    """Work out the calls of a block, or of the condition of one (then without a mapspec).

    sources: graph name -> a MappedArray for the outputs of mapped blocks, the value itself for everything else.
    extras: what goes into `**kwargs`.
    Raises InputError if arrays do not have the shape that the mapspec needs.
    """
    specs = {spec.name: spec for spec in mapspec.inputs if any(spec.axes)} if mapspec is not None else {}
    arrays = {name: _as_array(name, sources[name], spec) for name, spec in specs.items()}
    axes = mapspec.external_axes if mapspec is not None else ()
    lengths = _lengths(specs, arrays)
    shape = tuple(lengths[axis] for axis in axes)
    strides = {axis: math.prod(shape[at + 1 :]) for at, axis in enumerate(axes)}
    arguments: list[_Argument] = []
    for parameter in parameters:
        name = parameter.name
        form = form_of(parameter.annotation)
        if name in specs:
            arguments.append(_mapped(parameter, specs[name], arrays[name], lengths, strides, form, missing))
        else:
            value = sources[name]
            whole = value.whole(form, missing) if isinstance(value, MappedArray) else value
            arguments.append(_Argument(parameter, value=whole))
    return CallPlan(function, shape, arguments, dict(extras or {}))


class CallPlan:
    """The calls of a block: `plan.function(*arguments)` for each of `plan.arguments(...)`.

    shape: lengths of the axes the block is mapped over; () if it is called once. Elements are numbered, last axis
    fastest. function: what to call; the block's function, with what never changes filled in where that is needed.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        shape: tuple[int, ...],
        arguments: Sequence[_Argument],
        extras: dict[str, Any],
    ) -> None:
        self.shape = shape
        self.count = math.prod(shape)
        self._all = arguments
        self._extras = extras
        positional = [argument for argument in arguments if not argument.parameter.keyword_only]
        keyword = [argument for argument in arguments if argument.parameter.keyword_only]
        mapped = [argument for argument in keyword if argument.column is not None]
        fixed = {a.parameter.python_name: a.value for a in keyword if a.column is None} | extras
        self._columns = [*positional, *mapped]
        called = functools.partial(function, **fixed) if fixed else function
        names = [argument.parameter.python_name for argument in mapped]
        self.function = _with_keywords(called, len(positional), names) if names else called

    def columns(self, numbers: range | Sequence[int]) -> list[Iterable[Any]]:
        """The arguments of these elements, parameter by parameter: `map(plan.function, *columns)` is all their calls.

        Only for blocks that are mapped; a function without parameters has no columns to tell how often it is called.
        """
        return [argument.walk(numbers, self.count) for argument in self._columns]

    def arguments(self, numbers: range | Sequence[int]) -> Iterable[tuple[Any, ...]]:
        """The arguments of these elements, call by call."""
        columns = self.columns(numbers)
        return zip(*columns, strict=False) if columns and self.shape else repeat(self._constants(), len(numbers))

    @property
    def is_plain(self) -> bool:
        """Whether handing out arguments cannot fail: nothing is computed for it, and no code of others is called.

        Otherwise arguments are to be asked for element by element: one that cannot be made would leave those of
        `arguments` out of step.
        """
        return all(argument.column is None or _can_be_cut(argument.column) for argument in self._columns)

    def _constants(self) -> tuple[Any, ...]:
        return tuple(argument.value for argument in self._columns)

    def arguments_of(self, number: int) -> dict[str, Any]:
        """The arguments of one element by the names the function knows, in the order of its signature."""
        named = {argument.parameter.python_name: argument.at(number) for argument in self._all}
        return named | self._extras

    def fixed(self) -> dict[str, Any]:
        """The arguments that are the same for every element, by the names the function knows."""
        return {each.parameter.python_name: each.value for each in self._all if each.column is None} | self._extras

    def varying(self) -> list[tuple[str, Callable[[int], Any], Sequence[int]]]:
        """The others: of each its name, what gives the item at a place, and the place of every element."""
        numbers = range(self.count)
        return [
            (
                each.parameter.python_name,
                each.column.__getitem__,
                numbers if each.is_straight(self.count) else list(each.places(numbers)),
            )
            for each in self._all
            if each.column is not None
        ]

    def index_of(self, number: int) -> tuple[int, ...]:
        """The place of an element along the axes the block is mapped over."""
        return unravel(number, self.shape)

    def blocked(self) -> dict[int, Failed]:
        """The elements that cannot be called because an argument has failed, with that argument; in order."""
        found: dict[int, Failed] = {}
        for argument in self._all:
            if argument.is_straight(self.count):
                found = dict(argument.failed) | found
            elif argument.failed:
                for number, place in enumerate(argument.places(range(self.count))):
                    if place in argument.failed:
                        found.setdefault(number, argument.failed[place])
        return dict(sorted(found.items()))


def split_arguments(
    parameters: Sequence[Parameter], named: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments by name, as `arguments_of` tells them, back into those of a call: `function(*args, **kwargs)`."""
    positional = [parameter.python_name for parameter in parameters if not parameter.keyword_only]
    keywords = {name: value for name, value in named.items() if name not in positional}
    return tuple(named[name] for name in positional), keywords


class _Argument:
    """What one parameter receives: always `value`, or the item of `column` at the place of the element.

    terms: the place of element n is the sum of `(n // divide) % length * step` over them.
    failed: the places that have failed.
    """

    def __init__(
        self,
        parameter: Parameter,
        *,
        value: Any = None,
        column: Any = None,
        terms: Sequence[tuple[int, int, int]] = (),
        failed: Mapping[int, Failed] | None = None,
    ) -> None:
        self.parameter = parameter
        self.value = value
        self.column = column
        self.failed = failed or {}
        self._terms = terms

    def at(self, number: int) -> Any:
        """The argument of one element."""
        if self.column is None:
            return self.value
        return self.column[sum(number // divide % length * step for divide, length, step in self._terms)]

    def is_straight(self, count: int) -> bool:
        """Whether element n simply finds its argument at place n."""
        return self._terms == [(1, count, 1)]

    def places(self, numbers: range | Sequence[int]) -> Iterable[int]:
        """Where in the column these elements find theirs."""
        if len(self._terms) != 1:
            terms = self._terms
            return (sum(number // divide % length * step for divide, length, step in terms) for number in numbers)
        divide, length, _ = self._terms[0]
        if divide == 1:
            return (number % length for number in numbers)
        return (number // divide % length for number in numbers)

    def walk(self, numbers: range | Sequence[int], count: int) -> Iterable[Any]:
        """The arguments of these elements, one after the other."""
        if self.column is None:
            return repeat(self.value, len(numbers))
        if not self.is_straight(count):
            return map(self.column.__getitem__, self.places(numbers))
        if numbers == range(count):
            return self.column  # type: ignore[no-any-return]
        if isinstance(numbers, range) and numbers.step == 1 and _can_be_cut(self.column):
            return self.column[numbers.start : numbers.stop]  # type: ignore[no-any-return]
        return map(self.column.__getitem__, numbers)


class _Slices:
    """The parts `x[i, :]` of an array, made when they are asked for."""

    def __init__(
        self,
        array: GivenArray | MappedArray,
        named: tuple[bool, ...],
        shape: Sequence[int],
        form: Form,
        missing: Missing | None,
    ) -> None:
        self._array = array
        self._named = named
        self._shape = shape
        self._form = form
        self._missing = missing

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(math.prod(self._shape)))

    def __getitem__(self, number: int) -> Any:
        place = iter(unravel(number, self._shape))
        index = tuple(next(place) if name else None for name in self._named)
        return self._array.take(index, self._form, self._missing)


def _as_array(name: str, value: Any, spec: ArraySpec) -> GivenArray | MappedArray:
    return value if isinstance(value, MappedArray) else GivenArray(name, value, len(spec.axes))


def check_shapes(graph: Graph, values: Mapping[str, Any]) -> None:
    """Check, before anything runs, the lengths of all axes that follow from the parameters of the run.

    Raises InputError if a parameter is no array of the rank its mapspec needs, or arrays that share an axis differ.
    """
    shapes: dict[str, Sequence[int | None]] = {}
    for block in graph.blocks.values():
        if block.mapspec is None or not block.is_mapped:
            continue
        specs = {spec.name: spec for spec in block.mapspec.inputs if any(spec.axes)}
        for name, spec in specs.items():
            if name in values:
                shapes.setdefault(name, measure(name, values[name], len(spec.axes)))
        lengths = _known_lengths(specs, {name: shapes.get(name, (None,) * len(specs[name].axes)) for name in specs})
        for output in block.mapspec.outputs:
            shapes[output.name] = [lengths[axis][0] if axis in lengths else None for axis in output.axes]


def _lengths(specs: Mapping[str, ArraySpec], arrays: Mapping[str, GivenArray | MappedArray]) -> dict[str, int]:
    known = _known_lengths(specs, {name: array.shape for name, array in arrays.items()})
    return {axis: known.get(axis, (0, ""))[0] for spec in specs.values() for axis in spec.axes if axis is not None}


def _known_lengths(
    specs: Mapping[str, ArraySpec], shapes: Mapping[str, Sequence[int | None]]
) -> dict[str | None, tuple[int, str]]:
    """The length of each axis where it is known, and an array that has it."""
    known: dict[str | None, tuple[int, str]] = {}
    for name, spec in specs.items():
        for axis, length in zip(spec.axes, shapes[name], strict=True):
            if axis is None:
                continue
            if length is None:
                continue
            if axis in known and known[axis][0] != length:
                raise InputError(
                    f"the axis {axis!r} has {known[axis][0]} elements in {known[axis][1]!r} and {length} in {name!r}; "
                    f"arrays that share an axis are taken together, so they must have the same length"
                )
            known.setdefault(axis, (length, name))
    return known


def _mapped(
    parameter: Parameter,
    spec: ArraySpec,
    array: GivenArray | MappedArray,
    lengths: Mapping[str, int],
    strides: Mapping[str, int],
    form: Form,
    missing: Missing | None,
) -> _Argument:
    named = tuple(axis is not None for axis in spec.axes)
    own = [axis for axis in spec.axes if axis is not None]
    shape = [lengths[axis] for axis in own]
    column = array.elements() if all(named) else _Slices(array, named, shape, form, missing)
    return _Argument(parameter, column=column, terms=_terms(own, lengths, strides), failed=array.failed_at(named))


def _terms(own: Sequence[str], lengths: Mapping[str, int], strides: Mapping[str, int]) -> list[tuple[int, int, int]]:
    """How to get from the number of an element to the place in a column over these axes; neighbours are merged."""
    terms: list[tuple[int, int, int]] = []
    step = 1
    for axis in reversed(own):
        divide, length = strides[axis], lengths[axis]
        if terms and divide == terms[-1][0] * terms[-1][1]:
            terms[-1] = (terms[-1][0], terms[-1][1] * length, terms[-1][2])
        else:
            terms.append((divide, length, step))
        step *= length
    return terms


def _can_be_cut(column: Any) -> bool:
    return isinstance(column, (list, tuple, range)) or is_array(column) or getattr(column, "can_be_cut", False) is True


def _with_keywords(function: Callable[..., Any], positional: int, names: Sequence[str]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return function(*arguments[:positional], **dict(zip(names, arguments[positional:], strict=True)))

    return call
