"""A stored output piece by piece, whatever its size: for those who pass it on and need not hold it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from runstone.core.failed import Failed
from runstone.folder.cells import MISSING, Cells, Unopened


class Pieces:
    """What one output holds, and how much of it there is no value for.

    axes: the names of the axes its block was mapped over, None for a single value; shape: their lengths.
    value: of an output that is a single value; an `Unopened` if it is a pickle that was left closed.
    failed, missing, unopened: how many elements were met so far that failed, were not there, or were left closed.
    """

    def __init__(self, name: str, axes: tuple[str, ...] | None, source: Cells | None, value: Any = None) -> None:
        self.name = name
        self.axes = axes
        self.shape = () if source is None or source.shape is None else source.shape
        self.value = value
        self.failed = self.missing = 0
        self.unopened = int(type(value) is Unopened)
        self._source = source

    def elements(self) -> Iterator[list[Any]]:
        """All elements, last axis fastest, some at a time: values, `Failed`, MISSING, `Unopened`."""
        assert self._source is not None
        self.failed = self.missing = self.unopened = 0
        for batch in self._source.batches():
            for cell in batch:
                kind = type(cell)
                if kind is Failed:
                    self.failed += 1
                elif cell is MISSING:
                    self.missing += 1
                elif kind is Unopened:
                    self.unopened += 1
            yield batch

    def rows(self, show: Callable[[Any], Any]) -> Iterator[list[Any]]:
        """The same along the first axis, each element as `show` shows it; nested lists for further axes."""
        inner = self.shape[1:]
        if not inner:
            for batch in self.elements():
                yield [show(cell) for cell in batch]
            return
        flat = (show(cell) for batch in self.elements() for cell in batch)
        for _ in range(self.shape[0]):
            yield [_nested(flat, inner)]


def _nested(flat: Iterator[Any], shape: tuple[int, ...]) -> list[Any]:
    if len(shape) == 1:
        return list(islice(flat, shape[0]))
    return [_nested(flat, shape[1:]) for _ in range(shape[0])]
