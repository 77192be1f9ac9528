"""Loading what a run has made: outputs, errors, artifacts, parameters.

This is the only part that opens stored values, and the only one that may unpickle, if it is trusted to.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from runstone.core.arrays import Form, MappedArray
from runstone.core.events import ArtifactSaved, BlockAdopted, BlockEnded, ErrorRaised, Event, StoredValue
from runstone.core.mapspec import parse_mapspec
from runstone.core.ranges import contains
from runstone.core.records import BlockInfo
from runstone.core.shapes import strides
from runstone.core.statuses import BlockStatus
from runstone.errors import FolderError, MapSpecError, Untrusted
from runstone.folder import inputs, layout, scan
from runstone.folder.cells import Cells, Unopened
from runstone.folder.journal import decode_lines
from runstone.folder.look import Look, read_at
from runstone.folder.pack import parts
from runstone.folder.pieces import Pieces
from runstone.folder.read import Reading, read_look
from runstone.folder.values import decode_small

_MADE = (BlockStatus.COMPLETED, BlockStatus.REUSED, BlockStatus.DEGRADED)


class Loader:
    """Loads from one run folder. trust: whether pickled values may be opened.

    Every method raises FolderError for what is missing or damaged, and Untrusted for a pickle without trust.
    """

    def __init__(self, path: str, *, trust: bool) -> None:
        self.path = path
        self.trust = trust
        # what a run that has ended was found to be; it does not change any more
        self._reading: Reading | None = None
        self._values: dict[tuple[str, str], StoredValue] | None = None

    def _read(self, look: Look) -> Reading:
        if self._reading is not None:
            return self._reading
        reading = read_look(look, bounded=False)
        if reading.state.done:
            self._reading = reading
        return reading

    def _stored(self, look: Look, reading: Reading, block: BlockInfo, name: str) -> StoredValue | None:
        """An output that lives in the event with which its block ended, or was adopted; None if it is elsewhere."""
        values = self._values
        if values is None:
            values = {
                (event.block, output): stored
                for event in journal_events(look, reading)
                if isinstance(event, BlockEnded | BlockAdopted)
                for output, stored in event.values.items()
            }
            if reading.state.done:
                self._values = values
        return values.get((block.name, name))

    def events(self) -> Iterator[Event]:
        """The events of the journal that count, in order; what was voided does not."""
        with Look(self.path) as look:
            reading = self._read(look)
            voided = reading.state.voided
            for event in journal_events(look, reading):
                if not voided or not isinstance(event, ErrorRaised | ArtifactSaved) or not contains(voided, event.seq):
                    yield event

    def errors(self) -> list[ErrorRaised]:
        """The errors that no attempt followed, as far as they were recorded (the first 1,000 of a block)."""
        return [event for event in self.events() if isinstance(event, ErrorRaised) and event.final]

    def artifacts(self) -> list[ArtifactSaved]:
        """The files the run saved on purpose."""
        return [event for event in self.events() if isinstance(event, ArtifactSaved)]

    def param(self, name: str) -> Any:
        """The value of a parameter. Raises KeyError."""
        with Look(self.path) as look:
            return inputs.load(look, self._read(look).info.params, name, trust=self.trust)

    def output(self, name: str) -> Any:
        """A named output: its value, or a `StoredArray` if its block was mapped. Raises KeyError."""
        with Look(self.path) as look:
            reading = self._read(look)
            block = reading.info.outputs[name]
            stored = self._stored(look, reading, block, name)
            if stored is not None:
                return decode_small(stored.value, trust=self.trust)
            cells = Cells(look, reading, block, name, trust=self.trust)
            if cells.shape is not None:
                return StoredArray(block, name, cells)
            if cells.frames:
                return cells[0]
            return decode_small(_in_values_pack(look, reading, block, name).value, trust=self.trust)

    def pieces(self, name: str) -> Pieces:
        """A named output, to be read piece by piece; without trust pickles are left closed. Raises KeyError."""
        with Look(self.path) as look:
            reading = self._read(look)
            block = reading.info.outputs[name]
            stored = self._stored(look, reading, block, name)
            cells = Cells(look, reading, block, name, trust=self.trust, closed=True)
            if stored is None and cells.shape is None and not cells.frames:
                stored = _in_values_pack(look, reading, block, name)
        if stored is not None:
            return Pieces(name, None, None, self._small(stored))
        if cells.shape is None:
            return Pieces(name, None, None, cells[0])
        axes, outer = block.axes.get(name, []), _external(block)
        if not set(axes[: len(outer)]) <= set(outer):
            # An axis inside of the elements comes before one outside of them: only all together can be put in order.
            return Pieces(name, None, None, StoredArray(block, name, cells).to_list())
        return Pieces(name, tuple(axes[: len(outer)]), cells)

    def _small(self, stored: StoredValue) -> Any:
        try:
            return decode_small(stored.value, trust=self.trust)
        except Untrusted:
            return Unopened({"type": stored.type or "pickle"} if stored.preview is None else stored.preview)


def _in_values_pack(look: Look, reading: Reading, block: BlockInfo, name: str) -> StoredValue:
    """The second copy of an output that lived in an event, for when the journal is gone. Raises FolderError."""
    descriptor = look.open(layout.VALUES_PACK)
    if descriptor is not None:
        try:
            for frame in scan.frames(descriptor, 0, os.fstat(descriptor).st_size, verify_from=0):
                for column, offset in parts(frame.chunk):
                    if column.name == name:
                        data = read_at(descriptor, frame.payload + offset, column.bytes)
                        return StoredValue(value=msgspec.Raw(data), type=column.type, preview=column.preview)
        finally:
            os.close(descriptor)
    status = reading.state.blocks[block.name].status
    why = "its values were deleted" if status in _MADE else f"block {block.name!r} is {status.value}"
    raise FolderError(f"output {name!r} of the run in {look.path} has no value: {why}")


def journal_events(look: Look, reading: Reading) -> Iterator[Event]:
    """Every event that was read, in order, those too that were voided since."""
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


class StoredArray(Sequence[Any]):
    """What a mapped block has made, on disk: a sequence along its first axis.

    `array[7]` loads one element (`array[7, 2]` for two axes), `array.to_list()` all as nested lists,
    `array.to_numpy()` as an array. Elements that failed are `Failed`; missing ones raise FolderError.
    shape: lengths of all axes.
    """

    def __init__(self, block: BlockInfo, name: str, cells: Cells) -> None:
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

    def as_mapped(self, *, lazy: bool = False) -> MappedArray:
        """The same as the engine hands it from block to block. lazy: cells are read when they are asked for."""
        if lazy:
            return self._mapped(self._cells, self._cells.failed_numbers())
        if self._array is None:
            self._array = self._mapped(list(self._cells))
        return self._array

    def _mapped(self, cells: Sequence[Any], failed: Sequence[int] | None = None) -> MappedArray:
        axes = tuple(self._block.axes.get(self.name, ()))
        outer = _external(self._block)
        external = tuple(axis in outer for axis in axes)
        return MappedArray(self.name, axes, external, self._cells.shape or (), cells, failed)

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
        return self.as_mapped().whole(Form.ARRAY)

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
        return self._cells.failed


def _external(block: BlockInfo) -> tuple[str, ...]:
    try:
        return parse_mapspec(block.mapspec or "").external_axes
    except MapSpecError as error:
        raise FolderError(f"{layout.RUN} is damaged: {error}") from None
