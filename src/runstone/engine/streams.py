"""Standing in for `sys.stdout` and `sys.stderr` without anybody noticing.

Two things may stand there during a run: a tee, which hands on what is written so that it can be recorded, and below it
what leads the program's output around the bars of a terminal. Either may come and go first; the tee stays on top.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

NAMES = ("stdout", "stderr")
_lock = threading.RLock()
_tees: dict[str, Tee] = {}

# Until Python 3.14, print() goes on with the stream that it found in sys, also when another thread has taken it away
# from there since; if nobody else holds it then, the process dies. So those that stood there are kept, and used again.
_made: deque[Tee] = deque(maxlen=100)
_displaced: deque[Any] = deque(maxlen=100)


class Tee:
    """Writes through to a stream of the program, and tells `heard` the name of the stream and what was written."""

    def __init__(self, stream: Any, name: str) -> None:
        self.stream = stream
        self.name = name
        self.heard: Callable[[str, str], None] | None = None

    def write(self, text: str) -> Any:
        # What the program sees of its stream, errors included, is what it would see without us.
        try:
            return self.stream.write(text)
        finally:
            # looked at once: another thread may take it away
            heard = self.heard
            if heard is not None and isinstance(text, str):
                heard(self.name, text)

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    @property
    def buffer(self) -> Any:
        """The stream of bytes below, heard as well. Raises AttributeError if there is none."""
        return BinaryTee(self.stream.buffer, self, self.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class BinaryTee:
    """What `Tee` is, for bytes."""

    def __init__(self, stream: Any, tee: Tee, name: str) -> None:
        self.stream = stream
        self._tee = tee
        self._name = name

    def write(self, data: Any) -> Any:
        try:
            return self.stream.write(data)
        finally:
            heard = self._tee.heard
            if heard is not None and isinstance(data, bytes | bytearray | memoryview):
                heard(self._name, bytes(data).decode(errors="backslashreplace"))

    def writelines(self, pieces: Iterable[Any]) -> None:
        for piece in pieces:
            self.write(piece)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def install(heard: Callable[[str, str], None]) -> None:
    """Put tees on top of both streams; where a program has none it stays so."""
    with _lock:
        for name in NAMES:
            stream = getattr(sys, name)
            if stream is not None and not isinstance(stream, Tee):
                _tees[name] = _tee(stream, name)
                _tees[name].heard = heard
                setattr(sys, name, _tees[name])


def _tee(stream: Any, name: str) -> Tee:
    for known in _made:
        if known.stream is stream and known.name == name:
            return known
    _made.append(Tee(stream, name))
    return _made[-1]


def remove() -> None:
    """Take the tees away, also from log handlers that found them there. One that somebody still holds writes on."""
    with _lock:
        for name, tee in _tees.items():
            tee.heard = None
            # Somebody may have put a stream of their own over ours: that is theirs to take away.
            if getattr(sys, name) is tee:
                setattr(sys, name, tee.stream)
            for handler in log_handlers(tee):
                handler.setStream(tee.stream)
        _tees.clear()


def beneath(name: str) -> Any:
    """What the program itself has there: what is written to it is shown and not recorded."""
    stream = getattr(sys, name)
    return stream.stream if isinstance(stream, Tee) else stream


def put_beneath(name: str, stream: Any) -> None:
    """Replace that, leaving the tee, if there is one, on top."""
    with _lock:
        tee = getattr(sys, name)
        if isinstance(tee, Tee):
            tee.stream = stream
        else:
            _displaced.append(tee)
            setattr(sys, name, stream)


def log_handlers(stream: Any) -> list[Any]:
    """The handlers that log to a stream which they took hold of before."""
    logging = sys.modules.get("logging")
    if logging is None:
        return []
    # Its own list of all handlers, by weak references: programs have thousands of loggers, but few handlers.
    known = [reference() for reference in list(getattr(logging, "_handlerList", ()))]
    return [each for each in known if isinstance(each, logging.StreamHandler) and each.stream is stream]


def forked() -> None:
    """In a forked child: the lock may be held by a thread that is not there."""
    global _lock
    _lock = threading.RLock()
