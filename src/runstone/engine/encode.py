"""How ended elements and values become chunks: the header of each, and the bytes behind it.

Whoever computed them does this, the driver or a worker; the driver numbers what comes out and appends it as it is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import msgspec

from runstone.core import events as ev
from runstone.core.failed import Failed
from runstone.core.ranges import Range
from runstone.engine.record import Buffer, ElementNotStorable, Elements, Encoded
from runstone.errors import NotStorable
from runstone.folder.failed_cells import FAILED, UPSTREAM_FAILED, to_text
from runstone.folder.preview import preview, type_name
from runstone.folder.values import Column, encode_column, encode_small, find_unstorable

CHUNK_BYTES = 1024 * 1024
PLAIN_BYTES = 8 * CHUNK_BYTES
"""A chunk of plain columns may have more; but whoever reads, sends or records it holds it whole."""
SMALL_TOTAL = 32 * 1024
"""All small values of one block together, so that its event stays below the longest line."""

_BESIDE = 250
_RANGES = 16 * 1024


def unnumbered(block: str, elements: list[Range], payload: list[Buffer], **fields: Any) -> Encoded:
    """A chunk of these elements. fields: of `core.events.Chunk`."""
    return Encoded(header=ev.Chunk(seq=0, at="", block=block, elements=elements, **fields), payload=payload)


class ElementEncoder:
    """Makes chunks of bounded size; it learns how many bytes the cells of each block take."""

    def __init__(self) -> None:
        self._cell_bytes: dict[str, float] = {}

    def encode(self, ended: Elements) -> Iterator[Encoded]:
        """The chunks of ended elements, one after the other.

        Raises ElementNotStorable, which tells how many elements were in the chunks before.
        """
        count = len(ended.cells)
        per_cell = self._cell_bytes.get(ended.block, 0.0)
        step = max(1, int(CHUNK_BYTES / per_cell)) if per_cell else count
        ends = list(accumulate(high - low for low, high in ended.ranges))
        for start in range(0, count, step):
            yield from self._some(ended, ends, start, min(count, start + step))

    def _some(self, ended: Elements, ends: list[int], start: int, stop: int) -> Iterator[Encoded]:
        """The elements at some positions. ends: of every range, the position behind it."""
        ranges = _slice_ranges(ended.ranges, ends, start, stop)
        if len(ranges) > _RANGES:
            # the header of a frame has a limit
            middle = (start + stop) // 2
            yield from self._some(ended, ends, start, middle)
            yield from self._some(ended, ends, middle, stop)
            return
        bad = ended.bad[bisect_left(ended.bad, start) : bisect_left(ended.bad, stop)]
        cells = ended.cells[start:stop] if (start, stop) != (0, len(ended.cells)) else ended.cells
        good = cells if not bad else _without(cells, [position - start for position in bad])
        try:
            columns = _columns(ended.outputs, good, cells)
        except ElementNotStorable as refusal:
            refused = {start + position: why for position, why in refusal.refused.items()}
            raise ElementNotStorable(refused, recorded=start) from None
        size = sum(column.size for column in columns)
        self._cell_bytes[ended.block] = size / max(1, len(good))
        most = CHUNK_BYTES if any(column.kind == "cells" for column in columns) else PLAIN_BYTES
        if size > most and stop - start > 1:
            step = max(1, (stop - start) * CHUNK_BYTES // size)
            for first in range(start, stop, step):
                yield from self._some(ended, ends, first, min(stop, first + step))
            return
        payload: list[Buffer] = []
        fields: dict[str, Any] = {}
        if bad:
            failed = _failures(cells, [position - start for position in bad], payload)
            fields.update(failed)
        metas = []
        firsts = (good[:1] if len(ended.outputs) == 1 else good[0]) if len(good) else ()
        for position, (name, column) in enumerate(zip(ended.outputs, columns, strict=True)):
            payload.extend(column.data)
            shown = None if column.safe else preview(firsts[position])
            metas.append(_meta(name, column, len(good), type_name(firsts[position]) if firsts else "", shown))
        yield unnumbered(
            ended.block,
            ranges,
            payload,
            ok=len(good),
            columns=metas,
            shape=ended.shape,
            retries=ended.retries if start == 0 else 0,
            cpu_seconds=ended.cpu_seconds if start == 0 else 0.0,
            **fields,
        )


def encode_values(block: str, values: Mapping[str, Any]) -> tuple[dict[str, ev.StoredValue], Encoded | None]:
    """The outputs of a block that is not mapped: the small ones, to live in its `ended` event; the others, as a chunk.

    Raises NotStorable.
    """
    small: dict[str, ev.StoredValue] = {}
    large: dict[str, Column] = {}
    room = SMALL_TOTAL
    for name, value in values.items():
        raw = encode_small(value)
        # beside the value its event tells the name, the type and perhaps a preview
        if raw is not None and (length := len(bytes(raw))) + 4 * len(name) + _BESIDE <= room:
            room -= length + 4 * len(name) + _BESIDE
            small[name] = ev.StoredValue(
                value=raw, type=type_name(value), preview=_pickle_preview(raw, value), bytes=length
            )
        else:
            large[name] = encode_column([value])
    if not large:
        return small, None
    metas = [_meta(name, column, 1, type_name(values[name]), preview(values[name])) for name, column in large.items()]
    payload = [buffer for column in large.values() for buffer in column.data]
    return small, unnumbered(block, [(0, 1)], payload, ok=1, columns=metas)


def _without(cells: Sequence[Any], bad: Sequence[int]) -> list[Any]:
    kept: list[Any] = []
    start = 0
    for position in bad:
        kept.extend(cells[start:position])
        start = position + 1
    kept.extend(cells[start:])
    return kept


def _columns(outputs: tuple[str, ...], good: Sequence[Any], cells: Sequence[Any]) -> list[Column]:
    values: list[Sequence[Any]] = [good] if len(outputs) == 1 else list(zip(*good, strict=True))
    if not good:
        values = [()] * len(outputs)
    try:
        return [encode_column(column) for column in values]
    except NotStorable:
        refused: dict[int, NotStorable] = {}
        positions = [position for position, cell in enumerate(cells) if type(cell) is not Failed]
        for column in values:
            refused.update({positions[at]: why for at, why in find_unstorable(column).items()})
        if not refused:
            raise
        raise ElementNotStorable(refused) from None


def _failures(cells: Sequence[Any], bad: Sequence[int], payload: list[bytes | memoryview]) -> dict[str, Any]:
    """The fields of a chunk with failed elements; what they need goes to the front of the payload."""
    codes = bytearray(len(cells))
    texts: list[str] = []
    upstream = 0
    for position in bad:
        cell: Failed = cells[position]
        if cell.origin is not None:
            codes[position] = UPSTREAM_FAILED
            upstream += 1
        else:
            codes[position] = FAILED
        texts.append(to_text(cell))
    column = encode_column(texts)
    payload.append(bytes(codes))
    payload.extend(column.data)
    return {
        "failed": len(bad) - upstream,
        "upstream_failed": upstream,
        "outcomes": ev.ColumnMeta(name="outcomes", bytes=len(codes), count=len(codes)),
        "failures": _meta("failures", column, len(texts), "str"),
    }


def _meta(name: str, column: Column, count: int, kind: str, shown: Any = None) -> ev.ColumnMeta:
    return ev.ColumnMeta(
        name=name,
        bytes=column.size,
        count=count,
        meta=column.meta,
        safe=column.safe,
        type=kind,
        preview=shown,
    )


def _pickle_preview(raw: msgspec.Raw, value: Any) -> Any:
    # Everything else can be shown from the value itself.
    return preview(value) if bytes(raw).startswith(b'{"$') else None


def _slice_ranges(ranges: list[Range], ends: list[int], start: int, stop: int) -> list[Range]:
    """The elements at positions `[start, stop)` of those in `ranges`. ends: of every range, the position behind it."""
    found: list[Range] = []
    at = bisect_right(ends, start)
    while start < stop:
        high = ranges[at][1]
        first = high - (ends[at] - start)
        last = min(high, first + stop - start)
        found.append((first, last))
        start += last - first
        at += 1
    return found
