"""Computing a part of a block run in a process of somebody else's executor; back comes all it has to say."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from runstone.engine.channel import Buffer, Compute, Refused, Said
from runstone.engine.failures import describe
from runstone.engine.worker import PortableRun

Answer = list[tuple[bytes, bytes]]
"""Messages, as JSON, each with its payload."""

_KEPT = 4
_known: OrderedDict[bytes, PortableRun] = OrderedDict()
_lock = threading.Lock()
_decode = msgspec.json.Decoder(Compute).decode
_encode = msgspec.json.Encoder().encode


def compute(packed: bytes, path: list[str], asked: bytes) -> Answer:
    """Compute elements of a block run. asked: a `Compute`, as JSON."""
    return _answer(lambda said: _run(packed, path).compute(said, _decode(asked)))


def call(packed: bytes, path: list[str], attempt: int) -> Answer:
    """Call a block that is not mapped, from this attempt on."""
    return _answer(lambda said: _run(packed, path).call(said, attempt))


def _answer(do: Callable[[_Said], None]) -> Answer:
    said = _Said()
    try:
        do(said)
    except Exception as error:
        # not an error of an element, those are said: it does not unpickle here, for one
        found = describe(error)
        said.send(Refused(type=found.type, message=found.message, traceback=found.traceback))
    return said.answer


class _Said:
    """Keeps what would be sent, had this process a line to the driver."""

    def __init__(self) -> None:
        self.answer: Answer = []
        self._lock = threading.Lock()

    def send(self, message: Said, payload: Sequence[Buffer] = ()) -> None:
        with self._lock:
            self.answer.append((_encode(message), b"".join(payload)))


def _run(packed: bytes, path: list[str]) -> PortableRun:
    """The block run; unpickled once for all its parts."""
    key = hashlib.sha256(packed).digest()
    with _lock:
        found = _known.get(key)
        if found is None:
            found = _known[key] = PortableRun(memoryview(packed), path)
            if len(_known) > _KEPT:
                _known.popitem(last=False)
        return found
