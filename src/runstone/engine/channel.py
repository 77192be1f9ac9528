"""Messages between a driver and its workers: JSON, and bytes behind it, over a stream socket.

    message := body_length (u32) payload_length (u64) body payload

JSON, because small values travel in it as they will stand in the journal. Pickles are payload: whoever passes them on
does not open them. A driver writes only to a worker that waits for something to do, so neither waits for the other.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from runstone.core import events as ev
from runstone.core.ranges import Range
from runstone.core.reasons import Reason
from runstone.core.statuses import BlockStatus

Buffer = bytes | bytearray | memoryview
M = TypeVar("M")

_PREFIX = struct.Struct("<IQ")
_PIECE = 1024 * 1024
_encode = msgspec.json.Encoder().encode


class ToWorker(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What a driver says."""

    task: int


class Learn(ToWorker, frozen=True, kw_only=True):
    """A block run; the payload is the pickled `engine.portable.Portable`.

    path: where modules are found. directory, environ: of the driver when the block run began; None if its directory was
    deleted.
    """

    path: list[str]
    directory: bytes | None = None
    environ: list[tuple[bytes, bytes]] = []


class Compute(ToWorker, frozen=True, kw_only=True):
    """Compute elements.

    spent: attempts of an element that are used up already. told: how many errors of the block are events already, final
    ones and others.
    """

    elements: list[Range]
    spent: dict[int, int] = {}
    told: tuple[int, int] = (0, 0)


class Call(ToWorker, frozen=True, kw_only=True):
    """Call the block, from this attempt on."""

    attempt: int = 1


class Forget(ToWorker, frozen=True, kw_only=True):
    """This block run is over."""


class FromWorker(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="says"):
    """What a worker says."""


class Happened(FromWorker, frozen=True, kw_only=True):
    """An event to be recorded; its number and time are the driver's."""

    event: ev.JournalEvent


class Ended(FromWorker, frozen=True, kw_only=True):
    """Elements, or the large outputs of a block, to be recorded with the payload."""

    header: ev.Chunk


class Computed(FromWorker, frozen=True, kw_only=True):
    """What `Compute` asked for is done, as far as failures and requests to stop let it.

    count: elements that have ended. seconds: it took, cpu: of computing; failure: of the first element that failed,
    with its exception as payload if that can be pickled.
    """

    count: int
    seconds: float
    cpu: float = 0.0
    failure: str | None = None


class Called(FromWorker, frozen=True, kw_only=True):
    """How a block ended that is not mapped; None as the status if it was asked to stop between attempts.

    values: its small outputs. cpu: seconds, peak_memory: bytes, of the last attempt.
    """

    status: BlockStatus | None
    reason: Reason | None = None
    message: str = ""
    values: dict[str, ev.StoredValue] = {}
    cpu: float = 0.0
    peak_memory: int = 0


class Refused(FromWorker, frozen=True, kw_only=True):
    """The worker cannot do this at all: what came does not unpickle, or it failed by itself."""

    type: str
    message: str
    traceback: str = ""


Said = Happened | Ended | Computed | Called | Refused
Asked = Learn | Compute | Call | Forget


class Channel:
    """One end of the conversation. Sending is safe from several threads."""

    def __init__(self, end: socket.socket, reads: Any) -> None:
        """reads: the union of messages that come in here."""
        self.socket = end
        self._decode = msgspec.json.Decoder(reads).decode
        self._lock = threading.Lock()
        self._came = bytearray()

    def send(self, message: Asked | Said, payload: Sequence[Buffer] = ()) -> None:
        """Send a whole message. Raises OSError if nobody is there any more."""
        body = _encode(message)
        length = sum(memoryview(part).nbytes for part in payload)
        with self._lock:
            self.socket.sendall(_PREFIX.pack(len(body), length) + body)
            for part in payload:
                self.socket.sendall(part)

    def receive(self) -> tuple[Any, memoryview] | None:
        """Wait for the next message; None when the other side is gone."""
        while True:
            found = self._next()
            if found is not None:
                return found
            try:
                data = self.socket.recv(_PIECE)
            except InterruptedError:
                continue
            except OSError:
                return None
            if not data:
                return None
            self._came += data

    def arrived(self) -> tuple[list[tuple[Any, memoryview]], bool]:
        """All messages that are here by now, without waiting; and whether the other side is still there."""
        alive = True
        while True:
            try:
                data = self.socket.recv(_PIECE, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                data = b""
            if not data:
                alive = False
                break
            self._came += data
            if len(data) < _PIECE:
                break
        found = []
        while (message := self._next()) is not None:
            found.append(message)
        return found, alive

    def _next(self) -> tuple[Any, memoryview] | None:
        if len(self._came) < _PREFIX.size:
            return None
        body_length, payload_length = _PREFIX.unpack_from(self._came)
        start = _PREFIX.size + body_length
        if len(self._came) < start + payload_length:
            return None
        message = self._decode(bytes(self._came[_PREFIX.size : start]))
        payload = memoryview(bytes(self._came[start : start + payload_length]))
        del self._came[: start + payload_length]
        return message, payload

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self.socket.close()
