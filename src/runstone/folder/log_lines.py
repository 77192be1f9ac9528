"""Reading log files in pieces of whole lines, forwards and backwards, whatever stands in them.

A piece takes bounded memory however long the file, or a line of it, is. Lines longer than LINE_LIMIT are cut.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import msgspec

from runstone.folder.logs import LEVELS, LINE_LIMIT, LogLine
from runstone.folder.look import Look, read_at

FIRST_PIECE = 4 * 1024
LARGEST_PIECE = 1024 * 1024
_GROWTH = 4

_decode = msgspec.json.Decoder(LogLine).decode
_decode_text = msgspec.json.Decoder(str).decode
# Behind an even number of backslashes: one more, which begins an escape that is not whole, or the quote at the end.
_TORN_END = re.compile(rb'(?<!\\)((?:\\\\)*)(?:\\(?:u[0-9a-fA-F]{0,3})?|")\Z')
_MESSAGE = b',"message":"'


class Piece(msgspec.Struct, frozen=True):
    """Whole lines of a file: the bytes of `data` from `start` to `stop`, which is `behind` bytes into the file.

    torn: the last line has no end (yet).
    """

    data: bytes
    start: int
    stop: int
    behind: int
    torn: bool = False

    def first(self) -> bytes:
        """Its first line."""
        end = self.data.find(b"\n", self.start, self.stop)
        return self.data[self.start : self.stop if end < 0 else end]

    def last(self) -> bytes:
        """Its last line."""
        stop = self.stop - self.data.endswith(b"\n", self.start, self.stop)
        return self.data[max(self.start, self.data.rfind(b"\n", self.start, stop) + 1) : stop]


def size_of(look: Look, name: str) -> int:
    """The length of a file, 0 if it is not there."""
    found = look.stat(name)
    return 0 if found is None else found.st_size


def forwards(look: Look, name: str, start: int, stop: int, largest: int = LARGEST_PIECE) -> Iterator[Piece]:
    """The lines between two offsets, oldest first. `start` must be the beginning of a line."""
    at, length = start, min(FIRST_PIECE, largest)
    while at < stop:
        data = _read(look, name, at, min(length, stop - at))
        end = data.rfind(b"\n") + 1
        if end:
            yield Piece(data, 0, end, at + end)
            at += end
            length = min(length * _GROWTH, largest)
        elif len(data) < length:
            if data:
                yield Piece(data, 0, len(data), at + len(data), torn=True)
            return
        elif length <= LINE_LIMIT:
            length = LINE_LIMIT + 1
        else:
            behind = _behind_line(look, name, at + length, stop)
            yield Piece(data, 0, LINE_LIMIT, behind)
            at = behind


def backwards(look: Look, name: str, stop: int, largest: int = LARGEST_PIECE) -> Iterator[Piece]:
    """The lines before an offset, newest piece first; within a piece they stand in their order."""
    at, length = stop, min(FIRST_PIECE, largest)
    while at > 0:
        begin = max(0, at - length)
        data = _read(look, name, begin, at - begin)
        if len(data) < at - begin:
            # somebody has cut the file meanwhile
            return
        first = data.find(b"\n", 0, len(data) - 1) + 1 if begin else 0
        if first or not begin:
            yield Piece(data, first, len(data), at, torn=not data.endswith(b"\n"))
            at = begin + first
            length = min(length * _GROWTH, largest)
        elif length <= LINE_LIMIT:
            length = LINE_LIMIT + 1
        else:
            begin = _line_start(look, name, begin)
            data = _read(look, name, begin, LINE_LIMIT)
            yield Piece(data, 0, len(data), at)
            at = begin


def _behind_line(look: Look, name: str, at: int, stop: int) -> int:
    """Where a line has ended that is longer than is read of it, or `stop`."""
    while at < stop:
        data = _read(look, name, at, min(LARGEST_PIECE, stop - at))
        end = data.find(b"\n") + 1
        if end or not data:
            return at + end if end else stop
        at += len(data)
    return stop


def _line_start(look: Look, name: str, at: int) -> int:
    """Where such a line begins."""
    while at > 0:
        begin = max(0, at - LARGEST_PIECE)
        end = _read(look, name, begin, at - begin).rfind(b"\n") + 1
        if end:
            return begin + end
        at = begin
    return 0


def _read(look: Look, name: str, start: int, length: int) -> bytes:
    # Opened for each piece: a run may have more logs than a process may have files.
    descriptor = look.open(name)
    if descriptor is None:
        return b""
    try:
        return read_at(descriptor, start, length)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def parse(line: bytes) -> LogLine:
    """A line as a record. Of a torn one as much as is there; of anything else its text, with no time and no level."""
    line = line[:LINE_LIMIT]
    try:
        found = _decode(line)
    except (msgspec.MsgspecError, RecursionError):
        return _torn(line)
    return found if found.level in LEVELS else msgspec.structs.replace(found, level="")


def _torn(line: bytes) -> LogLine:
    head, message, text = line.partition(_MESSAGE)
    if message:
        text = _TORN_END.sub(rb"\1", text).decode(errors="ignore").encode()
        try:
            return msgspec.structs.replace(_decode(head + _MESSAGE + b'"}'), message=_decode_text(b'"' + text + b'"'))
        except (msgspec.MsgspecError, RecursionError):
            pass
    return LogLine(at="", level="", stream="", message=line.decode(errors="backslashreplace"))
