"""The cells of a stored output, read from its packs a chunk at a time."""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final
from zlib import crc32

import msgspec

from runstone.core.arrays import unravel
from runstone.core.events import ColumnMeta
from runstone.core.ranges import Range, add_range, missing_ranges
from runstone.core.records import BlockInfo
from runstone.errors import FolderError
from runstone.folder import layout, scan
from runstone.folder.failed_cells import OK, from_text
from runstone.folder.look import Look, read_at
from runstone.folder.pack import Frame, parts
from runstone.folder.read import Reading
from runstone.folder.values import decode_column


class Unopened(msgspec.Struct, frozen=True):
    """Stands for a pickle that was not opened. shown: what can be said of it, as JSON."""

    shown: Any


class Missing(msgspec.Struct, frozen=True):
    """The type of MISSING."""


MISSING: Final = Missing()
"""Stands for an element that was not recorded, or whose bytes are gone."""

_Place = tuple[int, int, str, Frame, int]
"""Elements from the first number to below the second stand in this frame of this file, from so many on."""

# So many cells that are missing are told at once.
_GAP = 4096


class Cells(Sequence[Any]):
    """The cells of one output by flat number; the chunk that was read last is kept.

    shape: lengths of the mapped axes, None if the block is not mapped. trust: whether pickles may be opened.
    closed: pickles are `Unopened` instead of an error.
    """

    def __init__(
        self, look: Look, reading: Reading, block: BlockInfo, name: str, *, trust: bool, closed: bool = False
    ) -> None:
        self.block = block.name
        self.name = name
        self.path = look.path
        self.trust = trust
        self.closed = closed and not trust
        shape = reading.state.blocks[block.name].shape
        self.shape = None if shape is None else tuple(shape)
        self.frames: list[tuple[str, Frame]] = []
        starts: list[_Place] = []
        packs = _packs(look, reading, block.name)
        for file in packs:
            for frame in _frames(look, reading, file):
                self.frames.append((file, frame))
                at = 0
                for start, stop in frame.chunk.elements:
                    starts.append((start, stop, file, frame, at))
                    at += stop - start
        if len(packs) > 1:
            starts = _newest(starts)
        starts.sort(key=lambda item: item[0])
        self._ranges = starts
        self._starts = [item[0] for item in starts]
        self._chunk: tuple[Frame | None, list[Any]] = (None, [])

    def __len__(self) -> int:
        count = 1
        for length in self.shape or ():
            count *= length
        return count

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))

    def index_of(self, number: int) -> tuple[int, ...]:
        """The place of a cell along the mapped axes."""
        return unravel(number, self.shape or ())

    def __getitem__(self, number: Any) -> Any:
        at = bisect.bisect_right(self._starts, number) - 1
        if at < 0 or not self._ranges[at][0] <= number < self._ranges[at][1]:
            raise FolderError(f"element {number} of {self.name!r} was not recorded, or its values are gone")
        start, _, file, frame, before = self._ranges[at]
        cells = self._load(file, frame)
        if before + number - start >= len(cells):
            raise FolderError(f"{file} is damaged: it has fewer values of {self.name!r} than it says")
        return cells[before + number - start]

    def batches(self) -> Iterator[list[Any]]:
        """All cells in their order, some at a time; MISSING for those that are not there or cannot be read.

        With trust a chunk that cannot be read raises FolderError, for that may be the fault of the reader.
        """
        at, count = 0, len(self)
        for start, stop, file, frame, before in self._ranges:
            stop = min(stop, count)
            if stop <= at:
                continue
            yield from _gap(start - at)
            at = max(at, start)
            try:
                cells = self._load(file, frame)[before + at - start : before + stop - start]
            except FolderError:
                if self.trust:
                    raise
                cells = []
            if cells:
                yield cells
            yield from _gap(stop - at - len(cells))
            at = stop
        yield from _gap(count - at)

    def _load(self, file: str, frame: Frame) -> list[Any]:
        if self._chunk[0] is not frame:
            self._chunk = (frame, self._read(file, frame))
        return self._chunk[1]

    def _read(self, file: str, frame: Frame) -> list[Any]:
        with Look(self.path) as look:
            descriptor = look.open(file)
            if descriptor is None:
                raise FolderError(f"{file} is gone, and with it values of {self.name!r}")
            try:
                payload = read_at(descriptor, frame.payload, frame.stop - frame.payload)
            finally:
                os.close(descriptor)
        if len(payload) != frame.stop - frame.payload or crc32(payload) != frame.payload_crc:
            raise FolderError(f"{file} is damaged, and with it values of {self.name!r}")
        view = memoryview(payload)
        codes = texts = None
        values: list[Any] = []
        for column, offset in parts(frame.chunk):
            data = view[offset : offset + column.bytes]
            if column is frame.chunk.outcomes:
                codes = bytes(data)
            elif column is frame.chunk.failures:
                texts = decode_column(column.meta, data, column.count, trust=False)
            elif column.name == self.name:
                values = self._column(column, data)
        if codes is None:
            return values
        return self._with_failed(frame, values, codes, texts or [])

    def _column(self, column: ColumnMeta, data: memoryview) -> list[Any]:
        def unopened(index: int, pickled: memoryview) -> Unopened:
            if index == 0 and column.preview is not None:
                return Unopened(column.preview)
            return Unopened({"type": "pickle", "length": len(pickled)})

        instead = unopened if self.closed else None
        return decode_column(column.meta, data, column.count, trust=self.trust, instead=instead)

    def _with_failed(self, frame: Frame, values: list[Any], codes: bytes, texts: list[Any]) -> list[Any]:
        numbers = chain.from_iterable(range(start, stop) for start, stop in frame.chunk.elements)
        good, bad = iter(values), iter(texts)
        cells: list[Any] = []
        for code, number in zip(codes, numbers, strict=False):
            if code == OK:
                cells.append(next(good, None))
            else:
                cells.append(from_text(next(bad, ""), self.block, self.index_of(number)))
        return cells


def _packs(look: Look, reading: Reading, block: str) -> list[str]:
    """The packs of a block in the order of their epochs; all there are if no journal tells which ones count."""
    if reading.epochs:
        return [layout.pack(block, epoch) for epoch in reading.epochs]
    found = [f"{layout.OUTPUTS}/{name}" for name in look.names(layout.OUTPUTS)]
    return [name for name in found if (known := layout.pack_block(os.path.basename(name))) and known[0] == block]


def _newest(places: list[_Place]) -> list[_Place]:
    """Without what a later epoch has recorded again, because the bytes of an earlier one did not verify."""
    found: list[_Place] = []
    known: list[Range] = []
    for start, stop, file, frame, before in reversed(places):
        for low, high in missing_ranges(known, stop):
            low = max(low, start)
            if low < high:
                found.append((low, high, file, frame, before + low - start))
        add_range(known, start, stop)
    return found


def _frames(look: Look, reading: Reading, file: str) -> list[Frame]:
    descriptor = look.open(file)
    if descriptor is None:
        return []
    try:
        whole = os.fstat(descriptor).st_size
        end = reading.ends.get(file, 0 if reading.epochs else whole)
        return scan.frames(descriptor, 0, end, verify_from=end)
    finally:
        os.close(descriptor)


def _gap(length: int) -> Iterator[list[Any]]:
    while length > 0:
        yield [MISSING] * min(length, _GAP)
        length -= _GAP
