"""How one element ended, as the packs tell: without opening its value, or any other."""

from __future__ import annotations

import os
from zlib import crc32

from runstone.core.failed import Failed
from runstone.core.ranges import within
from runstone.core.shapes import unravel
from runstone.errors import FolderError
from runstone.folder import layout, scan
from runstone.folder.failed_cells import OK, UPSTREAM_FAILED, from_text
from runstone.folder.look import Look, read_at
from runstone.folder.pack import Frame, parts
from runstone.folder.read import Reading
from runstone.folder.values import decode_column

_MOST = scan.LARGE_VERIFIED


def failure_of(look: Look, reading: Reading, block: str, element: int) -> Failed | None:
    """The mark of an element that failed or was not called, None if it came out well, or what was recorded of it
    cannot be read.

    An element that was not called has the mark of what failed above it as its `origin`, where that is known.
    """
    state = reading.state.blocks[block]
    if not state.failed and not state.upstream_failed:
        return None
    if any(within(pack.elements, element, element + 1) for pack in state.adopted.values()):
        return None
    allowance = scan.Allowance()
    for epoch in reversed(reading.epochs):
        name = layout.pack(block, epoch)
        descriptor = look.open(name)
        if descriptor is None:
            continue
        try:
            stop = min(os.fstat(descriptor).st_size, reading.ends.get(name, 0))
            for frame in scan.frames(descriptor, 0, stop, verify_from=stop, allowance=allowance):
                before = _before(frame, element)
                if before is not None:
                    return _failure(descriptor, frame, before, block, unravel(element, state.shape or ()))
        finally:
            os.close(descriptor)
    return None


def _before(frame: Frame, element: int) -> int | None:
    """How many elements of a frame stand before this one, None if it is not in it."""
    at = 0
    for start, stop in frame.chunk.elements:
        if start <= element < stop:
            return at + element - start
        at += stop - start
    return None


def _failure(descriptor: int, frame: Frame, before: int, block: str, index: tuple[int, ...]) -> Failed | None:
    chunk = frame.chunk
    size = frame.stop - frame.payload
    if chunk.outcomes is None or size > _MOST:
        return None
    payload = read_at(descriptor, frame.payload, size)
    if len(payload) != size or crc32(payload) != frame.payload_crc:
        return None
    columns = {id(column): payload[offset : offset + column.bytes] for column, offset in parts(chunk)}
    codes = columns.get(id(chunk.outcomes), b"")
    if before >= len(codes) or codes[before] == OK:
        return None
    told: object = ""
    if chunk.failures is not None:
        number = sum(code != OK for code in codes[:before])
        try:
            texts = decode_column(chunk.failures.meta, memoryview(columns[id(chunk.failures)]), chunk.failures.count,
                                  trust=False)  # fmt: skip
            told = texts[number] if number < len(texts) else ""
        except FolderError:
            told = ""
    failed = from_text(told, block, index)
    if codes[before] == UPSTREAM_FAILED and failed.origin is None:
        return Failed(block, index, failed.error_type, failed.message, Failed("", (), failed.error_type, ""))
    return failed
