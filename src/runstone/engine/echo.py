"""What a worker prints from Python, on its way to the terminal of its driver.

The worker records its lines itself, so they survive the death of either; the driver shows them. Frames are short enough
that the kernel never mixes those of several processes or threads.

    frame := kind (one byte) length (u16, little-endian) payload
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from enum import Enum

_HEAD = struct.Struct("<cH")
_MOST = 4096 - _HEAD.size
"""Writes of up to PIPE_BUF bytes are not torn apart; on Linux that is 4,096."""


class Kind(Enum):
    """What a frame holds: text for a stream; nothing, when the line begun there was recorded without its end; a part
    of a log record, and the last one."""

    STDOUT = b"o"
    STDERR = b"e"
    STDOUT_KEPT = b"O"
    STDERR_KEPT = b"E"
    RECORD_PART = b"r"
    RECORD = b"R"


TEXT = {"stdout": Kind.STDOUT, "stderr": Kind.STDERR}
KEPT = {"stdout": Kind.STDOUT_KEPT, "stderr": Kind.STDERR_KEPT}
_KINDS = {kind.value: kind for kind in Kind}


def send(descriptor: int, kind: Kind, data: bytes = b"") -> None:
    """Send it all; nothing happens if nobody listens any more."""
    try:
        for at in range(0, len(data) or 1, _MOST):
            part = data[at : at + _MOST]
            last = at + _MOST >= len(data)
            now = Kind.RECORD_PART if kind is Kind.RECORD and not last else kind
            os.write(descriptor, _HEAD.pack(now.value, len(part)) + part)
    except OSError:
        return


class Frames:
    """Takes bytes as they come and gives whole frames."""

    def __init__(self) -> None:
        self._came = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Kind, bytes]]:
        """The frames that are complete by now. One of a kind that does not exist ends it all: frames are lost then."""
        self._came += data
        at = 0
        while len(self._came) - at >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._came, at)
            end = at + _HEAD.size + length
            if kind not in _KINDS:
                self._came.clear()
                return
            if len(self._came) < end:
                break
            yield _KINDS[kind], bytes(self._came[at + _HEAD.size : end])
            at = end
        del self._came[:at]


class Echo(io.RawIOBase):
    """A stream of bytes that are shown by the driver. Its descriptor is the one that C code writes to."""

    def __init__(self, descriptor: int, kind: Kind, number: int) -> None:
        self._descriptor = descriptor
        self._kind = kind
        self._number = number
        self.name = f"<descriptor {number} of a worker>"

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # any buffer, as declared
        taken = bytes(data)
        if taken:
            send(self._descriptor, self._kind, taken)
        return len(taken)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return False


def echo_stream(descriptor: int, name: str) -> io.TextIOWrapper:
    """What a worker has as `sys.stdout` or `sys.stderr`."""
    number = {"stdout": 1, "stderr": 2}[name]
    raw = Echo(descriptor, TEXT[name], number)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True)
