"""The cells of a stored output, read from its packs a chunk at a time."""

from __future__ import annotations

import bisect
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Final
from zlib import crc32

import msgspec

from runstone.core.arrays import unravel
from runstone.core.events import Chunk, ColumnMeta
from runstone.core.ranges import Range, add_range, outside, within
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

# Of so many packs at most: after a retry, say, neighbours stand in different ones.
_KEPT = 4

# So many cells are taken from their chunks at once by whoever wants all of them.
_TOGETHER = 1024


class Cells(Sequence[Any]):
    """The cells of one output by flat number; the chunk that was read last is kept, for each of the packs.

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
        state = reading.state.blocks[block.name]
        self.shape = None if state.shape is None else tuple(state.shape)
        self.failed = state.failed + state.upstream_failed
        self.frames: list[tuple[str, Frame]] = []
        starts: list[_Place] = []
        for file, adopted in state.adopted.items():
            for frame in _frames_until(look, file, adopted.bytes):
                self.frames.append((file, frame))
                starts += [
                    (low, high, file, frame, at + low - start)
                    for start, stop, at in _runs(frame)
                    for low, high in within(adopted.elements, start, stop)
                ]
        packs = packs_of(look, reading, block.name)
        for file in packs:
            for frame in _frames(look, reading, file):
                self.frames.append((file, frame))
                starts += [(start, stop, file, frame, at) for start, stop, at in _runs(frame)]
        if len(packs) > 1 or state.adopted:
            starts = _newest(starts)
        starts.sort(key=lambda item: item[0])
        self._ranges = starts
        self._starts = [item[0] for item in starts]
        # by the identity of their frames, the newest last
        self._chunks: dict[int, list[Any]] = {}
        self._most = min(_KEPT, len({item[2] for item in starts}) or 1)

    def __len__(self) -> int:
        count = 1
        for length in self.shape or ():
            count *= length
        return count

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), _TOGETHER):
            yield from self._cut(range(start, min(start + _TOGETHER, len(self))))

    def index_of(self, number: int) -> tuple[int, ...]:
        """The place of a cell along the mapped axes."""
        return unravel(number, self.shape or ())

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return self._cut(range(*number.indices(len(self))))
        at = bisect.bisect_right(self._starts, number) - 1
        if at < 0 or not self._ranges[at][0] <= number < self._ranges[at][1]:
            raise FolderError(f"element {number} of {self.name!r} was not recorded, or its values are gone")
        start, _, file, frame, before = self._ranges[at]
        cells = self._load(file, frame)
        if before + number - start >= len(cells):
            raise FolderError(f"{file} is damaged: it has fewer values of {self.name!r} than it says")
        return cells[before + number - start]

    can_be_cut = True

    def _cut(self, numbers: range) -> list[Any]:
        if numbers.step != 1:
            return [self[number] for number in numbers]
        found: list[Any] = []
        at = max(0, bisect.bisect_right(self._starts, numbers.start) - 1)
        number = numbers.start
        while number < numbers.stop:
            if at >= len(self._ranges) or not self._ranges[at][0] <= number < self._ranges[at][1]:
                raise FolderError(f"element {number} of {self.name!r} was not recorded, or its values are gone")
            start, stop, file, frame, before = self._ranges[at]
            stop = min(stop, numbers.stop)
            cells = self._load(file, frame)[before + number - start : before + stop - start]
            if len(cells) < stop - number:
                raise FolderError(f"{file} is damaged: it has fewer values of {self.name!r} than it says")
            found += cells
            number, at = stop, at + 1
        return found

    def failed_numbers(self) -> list[int]:
        """Which cells have no value because their element failed; without opening any value."""
        found: list[int] = []
        for start, stop, file, frame, before in self._ranges:
            if frame.chunk.outcomes is not None:
                codes = self._codes(file, frame)[before : before + stop - start]
                found += [start + at for at, code in enumerate(codes) if code != OK]
        return found

    def _codes(self, file: str, frame: Frame) -> bytes:
        column, offset = next(parts(frame.chunk))
        with Look(self.path) as look:
            descriptor = look.open(file)
            if descriptor is None:
                raise FolderError(f"{file} is gone, and with it values of {self.name!r}")
            try:
                return read_at(descriptor, frame.payload + offset, column.bytes)
            finally:
                os.close(descriptor)

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
        cells = self._chunks.pop(id(frame), None)
        if cells is None:
            cells = self._read(file, frame)
            while len(self._chunks) >= self._most:
                del self._chunks[next(iter(self._chunks))]
        self._chunks[id(frame)] = cells
        return cells

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
        return decode_cells(frame.chunk, memoryview(payload), self.name, self.index_of, self._column)

    def _column(self, column: ColumnMeta, data: memoryview) -> list[Any]:
        def unopened(index: int, pickled: memoryview) -> Unopened:
            if index == 0 and column.preview is not None:
                return Unopened(column.preview)
            return Unopened({"type": "pickle", "length": len(pickled)})

        instead = unopened if self.closed else None
        return decode_column(column.meta, data, column.count, trust=self.trust, instead=instead)


def decode_cells(
    chunk: Chunk,
    payload: memoryview,
    name: str,
    index_of: Callable[[int], tuple[int, ...]],
    decode: Callable[[ColumnMeta, memoryview], list[Any]],
) -> list[Any]:
    """The cells of one output in a chunk, in the order of its elements; a Failed for each that has no value.

    decode: gives the values of a column.
    """
    codes = texts = None
    values: list[Any] = []
    for column, offset in parts(chunk):
        data = payload[offset : offset + column.bytes]
        if column is chunk.outcomes:
            codes = bytes(data)
        elif column is chunk.failures:
            texts = decode_column(column.meta, data, column.count, trust=False)
        elif column.name == name:
            values = decode(column, data)
    if codes is None:
        return values
    numbers = chain.from_iterable(range(start, stop) for start, stop in chunk.elements)
    good, bad = iter(values), iter(texts or [])
    return [
        next(good, None) if code == OK else from_text(next(bad, ""), chunk.block, index_of(number))
        for code, number in zip(codes, numbers, strict=False)
    ]


def packs_of(look: Look, reading: Reading, block: str) -> list[str]:
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
        found += [(low, high, file, frame, before + low - start) for low, high in outside(known, start, stop)]
        add_range(known, start, stop)
    return found


def _runs(frame: Frame) -> Iterator[tuple[int, int, int]]:
    """The elements of a frame as ranges, each with how many stand before it."""
    at = 0
    for start, stop in frame.chunk.elements:
        yield start, stop, at
        at += stop - start


def _frames(look: Look, reading: Reading, file: str) -> list[Frame]:
    return _frames_until(look, file, reading.ends.get(file, 0 if reading.epochs else None))


def _frames_until(look: Look, file: str, end: int | None) -> list[Frame]:
    """The frames in a pack, as far as it counts; None for all of it."""
    descriptor = look.open(file)
    if descriptor is None:
        return []
    try:
        whole = os.fstat(descriptor).st_size
        end = whole if end is None else min(whole, end)
        return scan.frames(descriptor, 0, end, verify_from=end)
    finally:
        os.close(descriptor)


def _gap(length: int) -> Iterator[list[Any]]:
    while length > 0:
        yield [MISSING] * min(length, _GAP)
        length -= _GAP
