"""How one element ended, as the packs tell: without opening its value, or any other."""

from __future__ import annotations

import os
from zlib import crc32

from runstone.core.failed import Failed
from runstone.core.ranges import within
from runstone.core.shapes import unravel
from runstone.errors import FolderError
from runstone.folder import scan
from runstone.folder.cells import packs_of
from runstone.folder.failed_cells import OK, UPSTREAM_FAILED, from_text
from runstone.folder.look import Look, read_at
from runstone.folder.pack import Frame, parts
from runstone.folder.read import Reading
from runstone.folder.values import decode_column

_MOST = scan.LARGE_VERIFIED


def outcome_of(look: Look, reading: Reading, block: str, element: int) -> Failed | bool:
    """The mark of a recorded element that failed or was not called, True if it came out well, False if what was
    recorded of it cannot be read.

    An element that was not called has the mark of what failed above it as its `origin`, where that is known.
    """
    state = reading.state.blocks[block]
    if not state.failed and not state.upstream_failed:
        return True
    if any(within(pack.elements, element, element + 1) for pack in state.adopted.values()):
        return True
    allowance = scan.Allowance()
    for name in reversed(packs_of(look, reading, block)):
        descriptor = look.open(name)
        if descriptor is None:
            continue
        try:
            whole = os.fstat(descriptor).st_size
            stop = min(whole, reading.ends.get(name, 0 if reading.epochs else whole))
            for frame in scan.frames(descriptor, 0, stop, verify_from=stop, allowance=allowance):
                before = _before(frame, element)
                if before is not None:
                    return _outcome(descriptor, frame, before, block, unravel(element, state.shape or ()))
        finally:
            os.close(descriptor)
    return False


def computed_by(look: Look, reading: Reading, block: str, element: int) -> str:
    """The run that has computed an element which was taken from the cache; "" if that is not told."""
    allowance = scan.Allowance()
    for name, pack in reading.state.blocks[block].adopted.items():
        descriptor = look.open(name) if within(pack.elements, element, element + 1) else None
        if descriptor is None:
            continue
        try:
            stop = min(pack.bytes, os.fstat(descriptor).st_size)
            for frame in scan.frames(descriptor, 0, stop, verify_from=stop, allowance=allowance):
                if _before(frame, element) is not None:
                    return frame.chunk.from_run
        finally:
            os.close(descriptor)
    return ""


def _before(frame: Frame, element: int) -> int | None:
    """How many elements of a frame stand before this one, None if it is not in it."""
    at = 0
    for start, stop in frame.chunk.elements:
        if start <= element < stop:
            return at + element - start
        at += stop - start
    return None


def _outcome(descriptor: int, frame: Frame, before: int, block: str, index: tuple[int, ...]) -> Failed | bool:
    chunk = frame.chunk
    size = frame.stop - frame.payload
    if chunk.outcomes is None:
        return True
    if size > _MOST:
        return False
    payload = read_at(descriptor, frame.payload, size)
    if len(payload) != size or crc32(payload) != frame.payload_crc:
        return False
    columns = {id(column): payload[offset : offset + column.bytes] for column, offset in parts(chunk)}
    codes = columns.get(id(chunk.outcomes), b"")
    if before >= len(codes):
        return False
    if codes[before] == OK:
        return True
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
