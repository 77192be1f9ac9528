"""Recording what blocks say in this process: prints, `logging` records, warnings.

Installed while at least one run records logs, once for all of them. What the program shows does not change: streams
are written through, handlers and their levels stay as they are. Nothing is done for elements that say nothing.
"""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from runstone.core.run_state import RunState
from runstone.core.statuses import BlockStatus
from runstone.engine import context, streams
from runstone.engine.hooks import Hooks, level_of, message_of, text_of
from runstone.engine.spoken import Spoken, pieces
from runstone.folder.logs import STREAM_LEVELS, LogWriter
from runstone.secrets.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger, LogRecord

_BUSY = (BlockStatus.RUNNING, BlockStatus.RETRYING)


class Recorder(Protocol):
    """Whose blocks are recorded; its state tells which of them are being executed."""

    state: RunState


class Speaker(NamedTuple):
    """Who said something, and where that is kept. block, element: None outside of blocks or elements."""

    logs: LogWriter
    block: str | None
    element: int | None
    attempt: int


class Recording:
    """While entered, what the blocks of a run say is added to `logs`.

    logs: None for a run that is not kept; inside a block of one that is, what it says is that block's.
    block: the only one that is executed meanwhile, where `recorder` does not know.
    """

    def __init__(self, recorder: Recorder, logs: LogWriter | None, block: str | None = None) -> None:
        self.recorder = recorder
        self.logs = logs
        self.block = block
        self.thread: threading.Thread | None = None
        self.outer: context.Place | None = None
        # What these say is the program's own affair, not the run's.
        self.older: weakref.WeakSet[threading.Thread] = weakref.WeakSet()

    def __enter__(self) -> Recording:
        self.outer = context.current()
        if self.logs is None and self.outer is None:
            return self
        self.thread = threading.current_thread()
        self.older.update(threading.enumerate())
        with _state.lock:
            _state.recordings[id(self.recorder)] = self
            _begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with _state.lock:
            if _state.recordings.pop(id(self.recorder), None) is not None:
                _end()
        if self.logs is not None:
            _state.spoken.finish(self.logs)

    def running(self) -> str | None:
        """The block that is being executed, if it is exactly one."""
        if self.block is not None:
            return self.block
        found = [name for name, block in list(self.recorder.state.blocks.items()) if block.status in _BUSY]
        return found[0] if len(found) == 1 else None

    def concerns(self, thread: threading.Thread) -> bool:
        """Whether a thread that is at no place works for this run: its own, or one that was started meanwhile."""
        return self.logs is not None and (thread is self.thread or thread not in self.older)


class _State:
    """What is installed in this process.

    users: for how many it is. parent: in a forked child, the process that records the run.
    """

    def __init__(self) -> None:
        self.users = 0
        self.recordings: dict[int, Recording] = {}
        self.spoken: Spoken[Speaker] = Spoken(_keep)
        self.hooks = Hooks(_logged, _warned)
        self.lock = threading.RLock()
        self.parent: int | None = None


def _begin() -> None:
    _state.users += 1
    if _state.users == 1:
        streams.install(_heard)
        _state.hooks.install()


def _end() -> None:
    _state.users -= 1
    if _state.users == 0:
        _state.hooks.remove()
        streams.remove()


def finish_block(logs: LogWriter | None, block: str) -> None:
    """A block has ended: lines that have not been ended with a newline are whole now."""
    if logs is not None and _state.spoken:
        _state.spoken.finish(logs, block)


def _speaker() -> Speaker | None:
    """Who the current thread speaks for; None if that is no run that keeps logs."""
    if _state.parent is not None and os.getppid() != _state.parent:
        return None
    place = context.current()
    if place is None:
        return _by_thread()
    while place is not None:
        found = _state.recordings.get(id(place.recorder))
        if found is None:
            return None
        if found.logs is not None:
            return Speaker(found.logs, place.block, place.element(), place.attempt())
        place = found.outer
    return None


def _by_thread() -> Speaker | None:
    thread = threading.current_thread()
    found = [recording for recording in list(_state.recordings.values()) if recording.concerns(thread)]
    if len(found) != 1 or found[0].logs is None:
        return None
    return Speaker(found[0].logs, found[0].running(), None, 1)


# Whatever goes wrong in these, the caller only wanted to print, log or warn. LogWriter answers for the disk; what is
# left is too little stack or memory, and objects of the user's that fail when they are asked.


def _heard(stream: str, text: str) -> None:
    if not _state.hooks.busy:
        try:
            _state.spoken.say(_speaker(), stream, text)
        except Exception:
            return


def _logged(record: LogRecord) -> None:
    try:
        if (speaker := _speaker()) is not None:
            _add(speaker, "log", level_of(record.levelno), message_of(record), str(record.name))
    except Exception:
        return


def _warned(message: Warning | str, category: type[Warning], filename: str, lineno: int) -> None:
    try:
        if (speaker := _speaker()) is not None:
            _add(speaker, "warning", "WARNING", f"{filename}:{lineno}: {category.__name__}: {text_of(message)}")
    except Exception:
        return


def _keep(speaker: Speaker, stream: str, text: str) -> None:
    # before it is cut into pieces: half of a secret is not recognised any more
    for piece in pieces(redact(text)):
        _add(speaker, stream, STREAM_LEVELS[stream], piece)


def _add(speaker: Speaker, stream: str, level: str, message: str, logger: str = "") -> None:
    speaker.logs.add(
        message,
        level=level,
        stream=stream,
        block=speaker.block,
        element=speaker.element,
        attempt=speaker.attempt,
        logger=logger,
    )


def complain(reason: str) -> None:
    """Say, once, that logs are lost: where the user looks, and where nothing that is wrong with that matters."""
    stream: Any = streams.beneath("stderr")
    try:
        stream.write(f"runstone: the logs of this run are not complete: {reason}\n")
        stream.flush()
    except (AttributeError, OSError, ValueError):
        return


def show_record(record: LogRecord) -> None:
    """Let the handlers of this process show a record that a worker has recorded."""
    import logging

    try:
        _state.hooks.quietly(logging.getLogger(record.name).callHandlers, record)
    except Exception:
        # handlers say themselves what they cannot do; those that raise would have raised into the block
        return


def stay(unfinished: Callable[[str], None], relay: Callable[[Logger, LogRecord], bool]) -> None:
    """Stay installed as long as this process lives, with what a worker wants to be told; see `capture_fd`."""
    with _state.lock:
        _begin()
        _state.spoken.unfinished = unfinished
        _state.hooks.relay = relay


def forget() -> None:
    """Nothing is recorded in this process any more; for workers, which begin anew."""
    _state.users = 0
    _state.parent = None
    _state.recordings.clear()
    _state.spoken.forget()
    _state.hooks.remove()
    streams.remove()


def _after_fork() -> None:
    # A forked child goes on saying what belongs to its block; what was half said, its parent ends.
    streams.forked()
    _state.lock = threading.RLock()
    _state.spoken.forget()
    _state.parent = os.getppid() if _state.recordings else None
    for recording in _state.recordings.values():
        if recording.logs is not None:
            recording.logs.forked()


_state = _State()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
