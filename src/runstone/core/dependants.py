"""Which elements of a mapped block depend on which of the block that makes its arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from runstone.core.mapspec import parse_mapspec
from runstone.core.ranges import Range, add_ranges
from runstone.core.records import BlockInfo
from runstone.core.shapes import strides
from runstone.errors import MapSpecError

PIECES_LIMIT = 100_000
"""Into more pieces than that no block is cut: it is rather computed whole."""


def touched(
    block: BlockInfo, shape: Sequence[int], maker: BlockInfo, theirs: Sequence[int], again: Sequence[Range]
) -> list[Range] | None:
    """The elements of a block that depend on those of another one that are computed again; None if that may be all."""
    try:
        own, other = parse_mapspec(block.mapspec or ""), parse_mapspec(maker.mapspec or "")
    except MapSpecError:
        return None
    taken = {output: own.input_spec(output) for output in maker.outputs}
    asked = {parameter.name for parameter in block.parameters} | set(block.condition)
    specs = {spec.axes for name, spec in taken.items() if spec is not None}
    named_only = all(spec is not None for name, spec in taken.items() if name in asked)
    axes, outer = other.external_axes, own.external_axes
    if len(specs) != 1 or not named_only or other.internal_axes or len(axes) != len(theirs) or len(outer) != len(shape):
        return None
    (spec_axes,) = specs
    if None in spec_axes or any(name in block.condition for name in maker.outputs) or not set(axes) <= set(outer):
        return None
    places = [outer.index(axis) for axis in axes]
    if any(shape[place] != length for place, length in zip(places, theirs, strict=True)):
        return None
    if places == list(range(len(places))):
        # the first axes, in their order: one element of theirs is one run of ours
        inner = 1
        for length in shape[len(places) :]:
            inner *= length
        return [(start * inner, stop * inner) for start, stop in again]
    found: list[Range] = []
    pieces = list(_pieces(shape, places, theirs, again))
    if len(pieces) > PIECES_LIMIT:
        return None
    add_ranges(found, pieces)
    return found


def _pieces(
    shape: Sequence[int], places: Sequence[int], theirs: Sequence[int], again: Sequence[Range]
) -> Iterator[Range]:
    last = max(places)
    steps, made = strides(shape), strides(theirs)
    free = [range(length) for place, length in enumerate(shape[:last]) if place not in places]
    free_steps = [steps[place] for place in range(last) if place not in places]
    left = PIECES_LIMIT + 1
    for start, stop in again:
        for number in range(start, stop):
            base = 0
            for place, step, length in zip(places, made, theirs, strict=True):
                base += number // step % length * steps[place]
            for outer in product(*free):
                at = base + sum(step * value for step, value in zip(free_steps, outer, strict=True))
                yield at, at + steps[last]
                left -= 1
                if not left:
                    return
