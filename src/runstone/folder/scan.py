"""Reading records out of journals and packs, from an offset on, as far as they are valid."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from zlib import crc32

import msgspec

from runstone.core.events import EVENT_LIMIT, Chunk, Record
from runstone.folder.journal import decode_lines
from runstone.folder.look import read_at
from runstone.folder.pack import MAGIC, Frame, decode_frame

WINDOW = 1024 * 1024
TAIL_VERIFIED = 4 * 1024 * 1024
"""Values are checked against their checksum in the last bytes of a pack only, where an unsynced write may be damaged;
whoever loads or takes over checks all."""

LARGE_VERIFIED = 64 * 1024 * 1024
"""Of single values longer than that, which reach into the last bytes of a pack, so much in all is checked as well."""

PATIENCE = 64 * 1024 * 1024
"""How many bytes of damage are searched for the next record; what lies behind more of it counts as lost."""

_PLACE = 256 * 1024
_LINE = 1024
"""What each damaged place in a pack, and each line of a journal, takes of that patience, however near the next record
seems: it may be made to seem so."""


RECORDS = 25_000
"""How many events, and how many chunks, one look at a run takes behind the checkpoint: about 0.1 s worth of each."""

RECORD_BYTES = 24 * 1024 * 1024
"""How long they may be in all, without values; from what lies behind in a journal only the end is taken."""

_END = 2 * EVENT_LIMIT
"""So much that the last event is in it, however long it is."""


class Allowance(msgspec.Struct):
    """What a reader may still do, over all files of a run.

    large: bytes of large values to check. records: to take; size: of them in bytes.
    """

    large: int = LARGE_VERIFIED
    records: int = msgspec.field(default_factory=lambda: RECORDS)
    size: int = msgspec.field(default_factory=lambda: RECORD_BYTES)

    def grants(self, length: int) -> bool:
        """Whether so many bytes may be checked; if so they are taken."""
        granted = length <= self.large
        self.large -= length if granted else 0
        return granted


class Scan(msgspec.Struct, kw_only=True):
    """What a file holds. end: behind its last valid record, in bytes; damaged: how much before it was not valid.

    unread: whether there may be more that the allowance did not reach to.
    """

    records: list[Record]
    end: int
    damaged: int = 0
    unread: bool = False


def scan_journal(descriptor: int, start: int, stop: int, allowance: Allowance | None = None) -> Scan:
    """The outlines of the events between two offsets. `start` must be the beginning of a line.

    Of more than the allowance reaches to, the first are taken and then those at the end: what a run ended as stands
    there.
    """
    if allowance is None:
        return _scan_lines(descriptor, start, stop, sys.maxsize)
    taken = min(stop, start + max(allowance.size, 0))
    scan = _scan_lines(descriptor, start, taken, allowance.records)
    allowance.records -= len(scan.records)
    allowance.size -= (scan.end if scan.unread else taken) - start
    if scan.unread or taken < stop:
        last = _scan_lines(descriptor, max(scan.end, stop - _END), stop, sys.maxsize)
        scan = Scan(records=scan.records + last.records, end=max(scan.end, last.end), damaged=scan.damaged, unread=True)
    return scan


def _scan_lines(descriptor: int, start: int, stop: int, most: int) -> Scan:
    scan = Scan(records=[], end=start)
    data, base = b"", start
    damaged, patience = 0, PATIENCE
    while base + len(data) < stop and patience > 0:
        more = read_at(descriptor, base + len(data), min(WINDOW, stop - base - len(data)))
        if not more:
            break
        data += more
        done = 0
        for behind, event in decode_lines(data, whole=False):
            if len(scan.records) >= most:
                scan.unread = True
                return scan
            if event is None:
                damaged += 1
                patience -= max(_LINE, behind - done)
                if patience <= 0:
                    break
            else:
                scan.records.append(event)  # type: ignore[arg-type]  # events of newer versions fold as "stepped over"
                scan.end = base + behind
                scan.damaged += damaged
                damaged = 0
            done = behind
        if len(data) - done > EVENT_LIMIT:
            # No line is that long: of this one only so much is kept that it is still known as too long.
            patience -= len(data) - done
            done = len(data) - EVENT_LIMIT - 1
        data, base = data[done:], base + done
    return scan


def scan_pack(
    descriptor: int, start: int, stop: int, *, verify_all: bool = False, allowance: Allowance | None = None
) -> Scan:
    """The outlines of the chunks between two offsets, without frames whose header or checked values are broken."""
    scan = Scan(records=[], end=start)
    verify_from = start if verify_all else stop - TAIL_VERIFIED
    for frame in _walk(descriptor, start, stop, verify_from, scan, allowance, whole=False):
        scan.records.append(frame.chunk)
    return scan


def frames(
    descriptor: int, start: int, stop: int, *, verify_from: int, allowance: Allowance | None = None
) -> list[Frame]:
    """The frames between two offsets, with all that loading takes; values behind `verify_from` are checked."""
    return list(_walk(descriptor, start, stop, verify_from, Scan(records=[], end=start), allowance, whole=True))


def _walk(
    descriptor: int, start: int, stop: int, verify_from: int, scan: Scan, allowance: Allowance | None, *, whole: bool
) -> Iterator[Frame]:
    """The frames between two offsets, one after the other; notes in `scan` how far it has come.

    Values of those that start behind `verify_from` are checked, and of one that ends there, if the allowance grants it.
    whole: as for `decode_frame`.
    """
    window, base, at, size = b"", start, 0, stop
    damaged = 0
    patience = PATIENCE
    while base + at < stop:
        if allowance is not None and (allowance.records <= 0 or allowance.size <= 0):
            scan.unread = True
            break
        frame = decode_frame(window, at, base, size, whole=whole)
        if type(frame) is int:
            if damaged and frame > WINDOW:
                patience -= frame
            base, at = base + at, 0
            window = read_at(descriptor, base, min(max(WINDOW, frame), stop - base))
            if len(window) < frame and len(window) < stop - base:
                break
            continue
        if not isinstance(frame, Frame):
            behind = _next_magic(descriptor, base + at + 1, min(stop, base + at + max(patience, 0)))
            if behind is None:
                break
            damaged += behind - base - at
            patience -= behind - base - at + _PLACE
            at = behind - base
            if at > len(window):
                base, at, window = behind, 0, b""
            continue
        if frame.stop > stop:
            # Torn, or still being written. Its values may hold anything, also what looks like a frame.
            break
        checked = frame.start >= verify_from or (
            frame.stop > verify_from and allowance is not None and allowance.grants(frame.stop - frame.start)
        )
        if checked and (
            crc32(window[frame.payload - base : frame.stop - base]) != frame.payload_crc
            if frame.stop - base <= len(window)
            else not _values_valid(descriptor, frame)
        ):
            damaged += frame.stop - frame.start
        else:
            scan.end, scan.damaged = frame.stop, scan.damaged + damaged
            damaged = 0
            if allowance is not None:
                allowance.records -= 1
                allowance.size -= frame.payload - frame.start
            yield frame
        at = frame.stop - base
        if at > len(window):
            base, at, window = frame.stop, 0, b""


def _next_magic(descriptor: int, start: int, stop: int) -> int | None:
    while start < stop:
        data = read_at(descriptor, start, min(WINDOW, stop - start))
        at = data.find(MAGIC)
        if at >= 0:
            return start + at
        if len(data) < len(MAGIC):
            return None
        start += len(data) - len(MAGIC) + 1
    return None


def _values_valid(descriptor: int, frame: Frame) -> bool:
    checksum, at = 0, frame.payload
    while at < frame.stop:
        data = read_at(descriptor, at, min(WINDOW, frame.stop - at))
        if not data:
            return False
        checksum = crc32(data, checksum)
        at += len(data)
    return checksum == frame.payload_crc


def tail_before(descriptor: int, offset: int, length: int) -> bytes:
    """The up to `length` bytes just before an offset."""
    start = max(0, offset - length)
    return read_at(descriptor, start, offset - start)


__all__ = ["Allowance", "Chunk", "Scan", "frames", "scan_journal", "scan_pack", "tail_before"]
