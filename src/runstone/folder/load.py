"""Loading what a run has made: outputs, errors, artifacts, parameters.

This is the only part that opens stored values, and the only one that may unpickle, if it is trusted to.
"""

from __future__ import annotations

import bisect
import operator
import os
from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

import msgspec

from runstone.core.arrays import Form, MappedArray, unravel
from runstone.core.shapes import strides
from runstone.core.events import ArtifactSaved, BlockEnded, ErrorRaised, Event, StoredValue
from runstone.core.mapspec import parse_mapspec
from runstone.core.records import BlockInfo
from runstone.errors import FolderError, MapSpecError
from runstone.folder import inputs, layout, scan
from runstone.folder.failed_cells import OK, from_text
from runstone.folder.journal import decode_lines
from runstone.folder.look import Look, read_at
from runstone.folder.pack import Frame, parts
from runstone.folder.read import Reading, read_look
from runstone.folder.values import decode_column, decode_small


class Loader:
    """Loads from one run folder. trust: whether pickled values may be opened.

    Every method raises FolderError for what is missing or damaged, and Untrusted for a pickle without trust.
    """

    def __init__(self, path: str, *, trust: bool) -> None:
        self.path = path
        self.trust = trust

    def events(self) -> Iterator[Event]:
        """The events of the journal that count, in order."""
        with Look(self.path) as look:
            yield from _events(look, read_look(look))

    def errors(self) -> list[ErrorRaised]:
        """The errors that no attempt followed, as far as they were recorded (the first 1,000 of a block)."""
        return [event for event in self.events() if isinstance(event, ErrorRaised) and event.final]

    def artifacts(self) -> list[ArtifactSaved]:
        """The files the run saved on purpose."""
        return [event for event in self.events() if isinstance(event, ArtifactSaved)]

    def param(self, name: str) -> Any:
        """The value of a parameter. Raises KeyError."""
        with Look(self.path) as look:
            return inputs.load(look, read_look(look).info.params, name, trust=self.trust)

    def output(self, name: str) -> Any:
        """A named output: its value, or a `StoredArray` if its block was mapped. Raises KeyError."""
        with Look(self.path) as look:
            reading = read_look(look)
            block = reading.info.outputs[name]
            for event in _events(look, reading):
                if isinstance(event, BlockEnded) and event.block == block.name and name in event.values:
                    return decode_small(event.values[name].value, trust=self.trust)
            cells = _Cells(look, reading, block, name, trust=self.trust)
        if cells.shape is None:
            if not cells.frames:
                return self._from_values_pack(name)
            return cells[0]
        return StoredArray(block, name, cells)

    def _from_values_pack(self, name: str) -> Any:
        with Look(self.path) as look:
            descriptor = look.open(layout.VALUES_PACK)
            if descriptor is not None:
                try:
                    for frame in scan.frames(descriptor, 0, os.fstat(descriptor).st_size, verify_from=0):
                        for column, offset in parts(frame.chunk):
                            if column.name == name:
                                data = read_at(descriptor, frame.payload + offset, column.bytes)
                                return decode_small(msgspec.Raw(data), trust=self.trust)
                finally:
                    os.close(descriptor)
        raise FolderError(f"output {name!r} has no value in {self.path}: its block has not made it, or it was deleted")

    def stored(self, name: str) -> StoredValue | None:
        """What the record says about an output that lives in an event: type and preview; None if it is elsewhere."""
        with Look(self.path) as look:
            reading = read_look(look)
            block = reading.info.outputs[name]
            for event in _events(look, reading):
                if isinstance(event, BlockEnded) and event.block == block.name and name in event.values:
                    return event.values[name]
        return None


def _events(look: Look, reading: Reading) -> Iterator[Event]:
    for epoch in reading.epochs:
        name = layout.journal(epoch)
        descriptor = look.open(name)
        if descriptor is None:
            continue
        try:
            data = read_at(descriptor, 0, reading.ends.get(name, 0))
        finally:
            os.close(descriptor)
        for _, event in decode_lines(data):
            if event is not None:
                yield event


class _Cells(Sequence[Any]):
    """The cells of one output by flat number, read from the packs when asked for; one chunk is kept."""

    def __init__(self, look: Look, reading: Reading, block: BlockInfo, name: str, *, trust: bool) -> None:
        self.block = block.name
        self.name = name
        self.path = look.path
        self.trust = trust
        shape = reading.state.blocks[block.name].shape
        self.shape = None if shape is None else tuple(shape)
        self.frames: list[tuple[str, Frame]] = []
        found: dict[str, list[Frame]] = {}
        for epoch in reading.epochs:
            file = layout.pack(block.name, epoch)
            descriptor = look.open(file)
            if descriptor is None:
                continue
            try:
                end = reading.ends.get(file, 0)
                found[file] = scan.frames(descriptor, 0, end, verify_from=end)
            finally:
                os.close(descriptor)
        starts: list[tuple[int, int, str, Frame, int]] = []
        for file, frames in found.items():
            for frame in frames:
                self.frames.append((file, frame))
                at = 0
                for start, stop in frame.chunk.elements:
                    starts.append((start, stop, file, frame, at))
                    at += stop - start
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
        return self._load(file, frame)[before + number - start]

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
        chunk = frame.chunk
        codes = texts = None
        values: list[Any] = []
        for column, offset in parts(chunk):
            data = view[offset : offset + column.bytes]
            if column is chunk.outcomes:
                codes = bytes(data)
            elif column is chunk.failures:
                texts = decode_column(column.meta, data, column.count, trust=False)
            elif column.name == self.name:
                values = self._column(column, data)
        if codes is None:
            return values
        return self._with_failed(frame, values, codes, texts or [])

    def _column(self, column: Any, data: memoryview) -> list[Any]:
        return decode_column(column.meta, data, column.count, trust=self.trust)

    def _with_failed(self, frame: Frame, values: list[Any], codes: bytes, texts: list[Any]) -> list[Any]:
        numbers = [number for start, stop in frame.chunk.elements for number in range(start, stop)]
        good, bad = iter(values), iter(texts)
        cells: list[Any] = []
        for number, code in zip(numbers, codes, strict=False):
            if code == OK:
                cells.append(next(good, None))
            else:
                cells.append(from_text(next(bad, ""), self.block, self.index_of(number)))
        return cells


class StoredArray(Sequence[Any]):
    """What a mapped block has made, on disk: a sequence along its first axis.

    `array[7]` loads one element (`array[7, 2]` for two axes), `array.to_list()` all as nested lists,
    `array.to_numpy()` as an array. Elements that failed are `Failed`; missing ones raise FolderError.
    shape: lengths of all axes.
    """

    def __init__(self, block: BlockInfo, name: str, cells: _Cells) -> None:
        self.name = name
        self._block = block
        self._cells = cells
        self._array: MappedArray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of all axes, in the order of the mapspec."""
        # without inner axes it is known before all elements are there, as in a run that goes on or has crashed
        return self._cells.shape or () if self._is_flat else self.as_mapped().shape

    @property
    def _is_flat(self) -> bool:
        return set(self._block.axes.get(self.name, ())) <= set(_external(self._block))

    def as_mapped(self) -> MappedArray:
        """The same as the engine hands it from block to block."""
        if self._array is None:
            axes = tuple(self._block.axes.get(self.name, ()))
            outer = _external(self._block)
            external = tuple(axis in outer for axis in axes)
            simple = all(external) and len(axes) == 1
            cells: Any = self._cells if simple else list(self._cells)
            failed: list[int] | None = [] if simple else None
            self._array = MappedArray(self.name, axes, external, self._cells.shape or (), cells, failed)
        return self._array

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def __iter__(self) -> Iterator[Any]:
        return iter(self.to_list())

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        wanted = place if isinstance(place, tuple) else (place,)
        shape = self.shape
        if len(wanted) > len(shape):
            raise IndexError(f"{self.name!r} has {len(shape)} axes, {len(wanted)} indices were given")
        index = []
        for axis, (number, length) in enumerate(zip(wanted, shape, strict=False)):
            if not -length <= number < length:
                raise IndexError(f"index {number} is out of range for axis {axis} of {self.name!r}, of length {length}")
            index.append(number % length)
        rest = (None,) * (len(shape) - len(index))
        if not rest and self._is_flat:
            return self._cells[sum(map(operator.mul, index, strides(shape)))]
        return self.as_mapped().take((*index, *rest), Form.LIST)

    def to_list(self) -> list[Any]:
        """All elements as nested lists."""
        if len(self._cells.shape or ()) == 1 and len(self._block.axes.get(self.name, ())) == 1:
            return list(self._cells)
        return self.as_mapped().whole(Form.LIST)  # type: ignore[no-any-return]

    def to_numpy(self) -> Any:
        """All elements as a numpy array."""
        whole = self.as_mapped()
        cells = MappedArray(whole.name, whole.axes, whole.external, whole.external_shape, list(self._cells))
        return cells.whole(Form.ARRAY)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        found = self.to_numpy()
        return found if dtype is None else found.astype(dtype)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StoredArray):
            return self.to_list() == other.to_list()
        return self.to_list() == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"<{self.name}: {' x '.join(f'{length:,}' for length in self.shape)} elements{failed}>"

    @property
    def failed(self) -> int:
        """How many elements have no value because they failed."""
        return sum(frame.chunk.failed + frame.chunk.upstream_failed for _, frame in self._cells.frames)


def _external(block: BlockInfo) -> tuple[str, ...]:
    try:
        return parse_mapspec(block.mapspec or "").external_axes
    except MapSpecError as error:
        raise FolderError(f"{layout.RUN} is damaged: {error}") from None
