"""What the blocks of a run print, log and warn of: a JSON line each, and the one way to add to them.

Lines go to `logs/<block>.<epoch>.jsonl`, those of no block to `logs/<epoch>.jsonl`. A line is handed to the kernel by
one write as soon as it is complete, so it survives the death of any process. Several processes append to one file.
Nothing here is ever synced, and a disk that refuses costs lines, never the run.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from runstone.errors import StorageError
from runstone.folder import clock, disk, layout
from runstone.secrets.redaction import redact

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

STREAM_LEVELS = {"stdout": "INFO", "stderr": "WARNING"}
"""What is printed to standard error is rather something to know of than not."""

LINE_LIMIT = 64 * 1024
"""The longest line of a log, in bytes. It holds a message of `MESSAGE_LIMIT` even if each letter takes six bytes."""

MESSAGE_LIMIT = 10_000
"""The longest message, in characters; of a longer one the beginning and the end are kept."""

_NAME_LIMIT = 200
_OPEN_FILES = 32
_PATIENCE_SECONDS = 1.0

_encode = msgspec.json.Encoder().encode


Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class LogLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message, which may have several lines.

    at: when, RFC 3339 in UTC. level: one of LEVELS. stream: where it was said, `log`, `warning`, `stdout` or `stderr`.
    block, element: by whom, None if that was outside of blocks or elements. logger: its name in `logging`.
    pid: the process, if it was not the driver, else 0. message: comes last, so that a torn line still tells the rest.
    """

    at: str
    level: str
    stream: str
    block: str | None = None
    element: Count | None = None
    attempt: Count = 1
    logger: str = ""
    pid: Count = 0
    message: str


class LogWriter:
    """Adds lines to the logs of one epoch of one run, from any thread and any process.

    driver: the pid of the driver; lines of other processes tell theirs. on_refused: called with the reason, once, when
    the disk takes no more; it is tried again about once a second. Pickled, it goes on in another process without that.
    """

    def __init__(
        self, folder: str, epoch: int, *, driver: int | None = None, on_refused: Callable[[str], None] | None = None
    ) -> None:
        self.folder = folder
        self.epoch = epoch
        self.driver = os.getpid() if driver is None else driver
        self.on_refused = on_refused
        # reentrant: a signal handler or a finalizer that prints may come in the middle of a line of the same thread
        self._lock = threading.RLock()
        self._descriptors: dict[str | None, int] = {}
        self._refused_at: float | None = None
        self._lost = 0
        self._told = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _in_another_process, (self.folder, self.epoch, self.driver)

    def add(
        self,
        message: str,
        *,
        level: str,
        stream: str,
        block: str | None = None,
        element: int | None = None,
        attempt: int = 1,
        logger: str = "",
        pid: int | None = None,
    ) -> None:
        """Add a line. Raises nothing that an `except Exception` would catch."""
        pid = os.getpid() if pid is None else pid
        try:
            self._append(
                block,
                encode(
                    LogLine(
                        at=clock.now(),
                        level=level,
                        stream=stream,
                        block=block,
                        element=element,
                        attempt=attempt,
                        logger=redact(logger),
                        pid=0 if pid == self.driver else pid,
                        message=redact(message),
                    )
                ),
            )
        except Exception:
            # Too little stack or memory, a subclass of str with ideas of its own: whoever prints knows nothing of this.
            return

    def _append(self, block: str | None, line: bytes) -> None:
        with self._lock:
            if self._refused_at is not None:
                if time.monotonic() - self._refused_at < _PATIENCE_SECONDS:
                    self._lost += 1
                    return
                # What was cut off in the middle must not swallow the next line.
                line = b"\n" + encode(self._note(block)) + line
            try:
                disk.append(self._descriptor(block), line, self.path(block))
            except (StorageError, OSError) as error:
                self._refuse(block, error)
            else:
                self._refused_at, self._lost = None, 0

    def path(self, block: str | None) -> str:
        """The file of a block, or of the run outside of its blocks."""
        return f"{self.folder}/{layout.log(block, self.epoch)}"

    def _note(self, block: str | None) -> LogLine:
        what = f"{self._lost:,} lines are missing here: the disk refused them"
        return LogLine(at=clock.now(), level="WARNING", stream="log", block=block, logger="runstone", message=what)

    def _descriptor(self, block: str | None) -> int:
        found = self._descriptors.get(block)
        if found is None:
            if len(self._descriptors) >= _OPEN_FILES:
                disk.close(self._descriptors.pop(next(iter(self._descriptors))))
            disk.make_folder(f"{self.folder}/{layout.LOGS}")
            found = self._descriptors[block] = disk.open_to_append(self.path(block))
        return found

    def _refuse(self, block: str | None, error: Exception) -> None:
        self._lost += 1
        self._refused_at = time.monotonic()
        if block in self._descriptors:
            # perhaps it was closed by code that closes what it did not open
            disk.close(self._descriptors.pop(block))
        if not self._told and self.on_refused is not None:
            self._told = True
            self.on_refused(str(error))

    def forked(self) -> None:
        """This is a child that was forked; the lock may be held by a thread that it does not have."""
        self._lock = threading.RLock()
        self.on_refused = None

    def close(self) -> None:
        """Let go of all files."""
        with self._lock:
            while self._descriptors:
                disk.close(self._descriptors.popitem()[1])


def _in_another_process(folder: str, epoch: int, driver: int) -> LogWriter:
    return LogWriter(folder, epoch, driver=driver)


def encode(line: LogLine) -> bytes:
    """A line as it stands in the file: JSON without spaces, fields in their order, at most LINE_LIMIT bytes."""
    if len(line.message) > MESSAGE_LIMIT or len(line.logger) > _NAME_LIMIT:
        line = msgspec.structs.replace(line, message=shortened(line.message), logger=line.logger[:_NAME_LIMIT])
    try:
        return _encode(line) + b"\n"
    except UnicodeEncodeError:
        # lone surrogates, which no JSON takes, become escapes
        message = shortened(line.message.encode(errors="backslashreplace").decode())
        logger = line.logger.encode(errors="backslashreplace").decode()
        return _encode(msgspec.structs.replace(line, message=message, logger=logger)) + b"\n"


def shortened(message: str) -> str:
    """Beginning and end of a message that is too long: a traceback says at its end what was raised."""
    left_out = len(message) - MESSAGE_LIMIT
    if left_out <= 0:
        return message
    begin = MESSAGE_LIMIT * 3 // 4
    gap = f"\n... {left_out:,} characters are left out here ...\n"
    return message[:begin] + gap + message[begin + left_out :]
