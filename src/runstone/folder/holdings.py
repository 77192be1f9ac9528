"""What of a run is really on its disk: the results that came out well, with values that verify.

Counts in the fold tell what was recorded; before another run builds on that, the bytes are looked at.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec

from runstone.core.events import AdoptedOutput, ArtifactSaved, BlockAdopted, BlockEnded, StoredValue
from runstone.core.ranges import Range, add_ranges, count, within, without
from runstone.core.records import BlockInfo
from runstone.core.run_state import BlockState
from runstone.core.statuses import BlockStatus
from runstone.errors import FolderError
from runstone.folder import layout, scan
from runstone.folder.load import Loader
from runstone.folder.look import Look, read_at
from runstone.folder.pack import Frame, parts
from runstone.folder.reading import Reading

_MADE = (BlockStatus.COMPLETED, BlockStatus.REUSED)
_OK = re.compile(rb"\x00+")


class HeldFrame(msgspec.Struct, frozen=True):
    """elements: those of a frame that came out well, ascending."""

    elements: list[Range]
    outputs: dict[str, AdoptedOutput]


class HeldPack(msgspec.Struct, frozen=True, kw_only=True):
    """A pack that holds results. path: relative to the folder; bytes: how much of it counts."""

    path: str
    bytes: int
    frames: list[HeldFrame]


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of a block. elements: (0, 1) for a block that is not mapped, if all its outputs are there.

    Every element is in one pack only: the one that counts. values: outputs that live in events.
    """

    shape: list[int] | None
    elements: list[Range]
    packs: list[HeldPack]
    values: dict[str, StoredValue]
    inner_shapes: dict[str, list[int]]


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of a run."""

    blocks: dict[str, Holding]
    artifacts: list[ArtifactSaved]


def holdings(look: Look, reading: Reading) -> Holdings:
    """Look at all packs of a run and verify their values. Nothing is unpickled."""
    values: dict[str, dict[str, StoredValue]] = {}
    artifacts: list[ArtifactSaved] = []
    for event in Loader(look.path, trust=False).events():
        if isinstance(event, BlockEnded | BlockAdopted) and event.values:
            values.setdefault(event.block, {}).update(event.values)
        elif isinstance(event, ArtifactSaved):
            artifacts.append(event)
    blocks = {
        block.name: _holding(look, reading, block, reading.state.blocks[block.name], values.get(block.name, {}))
        for block in reading.info.blocks
    }
    return Holdings(blocks=blocks, artifacts=artifacts)


def _holding(
    look: Look, reading: Reading, block: BlockInfo, state: BlockState, values: dict[str, StoredValue]
) -> Holding:
    elements: list[Range] = []
    packs: list[HeldPack] = []
    if state.ok:
        # from the newest on, for a later epoch may have recorded again what did not verify
        seen: list[Range] = []
        for path, stop, wanted in reversed(list(_packs(reading, block.name, state))):
            frames = list(_frames(look, path, stop, wanted, seen))
            if frames:
                packs.insert(0, HeldPack(path=path, bytes=stop, frames=frames))
    for pack in packs:
        for frame in pack.frames:
            add_ranges(elements, frame.elements)
    if state.shape is None:
        whole = state.status in _MADE and set(block.outputs) <= values.keys() | _outputs_in(packs)
        elements = [(0, 1)] if whole else []
    return Holding(shape=state.shape, elements=elements, packs=packs, values=values, inner_shapes=state.inner_shapes)


def _packs(reading: Reading, block: str, state: BlockState) -> Iterator[tuple[str, int, list[Range] | None]]:
    """The packs of a block, oldest first: name, how much counts, and which elements if not all."""
    for path, adopted in state.adopted.items():
        yield path, adopted.bytes, adopted.elements
    for epoch in reading.epochs:
        path = layout.pack(block, epoch)
        if path in reading.ends:
            yield path, reading.ends[path], None


def _outputs_in(packs: Sequence[HeldPack]) -> set[str]:
    return {name for pack in packs for frame in pack.frames for name in frame.outputs}


def _frames(look: Look, path: str, stop: int, wanted: list[Range] | None, seen: list[Range]) -> Iterator[HeldFrame]:
    """What the frames of a pack hold that is not in `seen` yet; takes it in there."""
    try:
        descriptor = look.open(path)
    except FolderError:
        return
    if descriptor is None:
        return
    try:
        stop = min(stop, os.fstat(descriptor).st_size)
        for frame in scan.frames(descriptor, 0, stop, verify_from=0):
            good = list(_good(descriptor, frame))
            if wanted is not None:
                good = [each for start, end in good for each in within(wanted, start, end)]
            fresh = without(good, seen)
            add_ranges(seen, frame.chunk.elements if wanted is None else good)
            if fresh:
                yield HeldFrame(fresh, _shares(frame, count(fresh)))
    except OSError:
        return
    finally:
        os.close(descriptor)


def _good(descriptor: int, frame: Frame) -> Iterator[Range]:
    """The elements of a frame that came out well."""
    ranges = frame.chunk.elements
    if frame.chunk.outcomes is None:
        yield from ranges
        return
    column, offset = next(parts(frame.chunk))
    codes = read_at(descriptor, frame.payload + offset, column.bytes)
    ends = list(accumulate(stop - start for start, stop in ranges))
    for match in _OK.finditer(codes):
        at, stop = match.span()
        while at < stop:
            place = bisect_right(ends, at)
            if place == len(ends):
                return
            number = ranges[place][1] - (ends[place] - at)
            length = min(stop, ends[place]) - at
            yield number, number + length
            at += length


def _shares(frame: Frame, taken: int) -> dict[str, AdoptedOutput]:
    """What so many elements have of the values of a frame; of its bytes their part, for these are stored together."""
    return {
        column.name: AdoptedOutput(
            type=column.type, count=min(taken, column.count), bytes=column.bytes * taken // max(taken, frame.chunk.ok)
        )
        for column in frame.chunk.columns
    }
