"""The record of one tracked run, kept by the process that has it."""

from __future__ import annotations

from typing import Any

import msgspec

from runstone.core.events import EVENT_LIMIT
from runstone.core.statuses import RunStatus
from runstone.core.tracked import (
    METRICS_KEPT,
    Metric,
    TrackedState,
    TrackEnded,
    TrackLine,
    TrackSaved,
    TrackStarted,
    TrackUpdated,
    Trouble,
    may_move,
)
from runstone.errors import StorageError
from runstone.folder import clock
from runstone.folder.track_files import encode_line
from runstone.folder.track_journal import TrackJournal


class Recording:
    """Puts one run into the journal: its start at once, changed numbers a little later, its end at once.

    Lines that were refused are written with the next one. Of a journal that was made anew, so is the start.
    """

    __slots__ = (
        "_changed", "_first", "_kept", "_last", "_saved", "_saved_kept", "_seq", "_values", "journal", "run_id",
        "started_at", "status",
    )  # fmt: skip

    def __init__(self, journal: TrackJournal, started: TrackStarted) -> None:
        self.journal = journal
        self.run_id = started.run
        self.status = started.status
        self.started_at = started.started_at or started.at
        self._first = _line(started)
        self._last: bytes | None = None
        # lines about files, and how many of them are in the journal
        self._saved: list[bytes] = []
        self._saved_kept = 0
        self._seq = 1
        self._values: dict[str, Any] = {}
        self._changed: set[str] = set()
        # the generation of the journal that the start is in
        self._kept = 0

    @classmethod
    def of(cls, journal: TrackJournal, state: TrackedState) -> Recording:
        """Go on with a run that this, or another process has begun to record."""
        found = cls.__new__(cls)
        found.journal = journal
        found.run_id = state.run_id
        found.status = state.status
        found.started_at = state.started_at or state.created_at
        found._first = b""
        found._last = None
        found._saved = []
        found._saved_kept = 0
        found._seq = state.seq
        found._values = {"metrics": dict(state.metrics)} if state.metrics else {}
        found._changed = set()
        found._kept = 0
        return found

    def know(self, name: str, value: Any) -> None:
        """A value that the start has told."""
        self._values[name] = value

    def begin(self) -> None:
        """Record that it is there."""
        with self.journal.lock:
            self._try()

    def set(self, name: str, value: Any, *, now: bool = False) -> bool:
        """A value of the run is another one now; False if the run has ended. now: record it before this returns."""
        with self.journal.lock:
            if self._last is not None or self.journal.abandoned:
                return self._last is None
            self._values[name] = value
            self._changed.add(name)
            self._go_on(now=now)
        return True

    def metric(self, name: str, value: Metric) -> bool:
        """The same for a metric."""
        with self.journal.lock:
            if self._last is not None or self.journal.abandoned:
                return self._last is None
            metrics = self._values.setdefault("metrics", {})
            if name in metrics or len(metrics) < METRICS_KEPT:
                metrics[name] = value
                self._changed.add("metrics")
                self._go_on(now=False)
        return True

    def add(self, name: str, count: int) -> bool:
        """Count on, whatever other threads count."""
        with self.journal.lock:
            return self.set(name, (self._values.get(name) or 0) + count)

    def get(self, name: str) -> Any:
        """A value as it was last set."""
        return self._values.get(name)

    @property
    def ended(self) -> bool:
        """Whether nothing more can be recorded."""
        return self._last is not None or self.journal.abandoned

    def saved(self, about: dict[str, Any]) -> tuple[int, str] | None:
        """A file was saved with the run; returns the number and the time of its line, None if the run has ended.

        about: as in `TrackSaved`.
        """
        with self.journal.lock:
            if self.ended:
                return None
            self._seq += 1
            seq, at = self._seq, clock.now()
            self._saved.append(_line(TrackSaved(run=self.run_id, seq=seq, at=at, **about)))
            self._try()
        return seq, at

    def end(
        self,
        status: RunStatus,
        *,
        error: Trouble | None = None,
        finished_at: str | None = None,
        duration_seconds: float | None = None,
    ) -> bool:
        """Record the end; False if the run has ended before, or does not end so from where it stands."""
        with self.journal.lock:
            if self._last is not None or not may_move(self.status, status):
                return False
            self._seq += 1
            self.status = status
            values = {name: value for name, value in self._values.items() if name not in ("status", "started_at")}
            self._last = _line(
                TrackEnded(
                    run=self.run_id,
                    seq=self._seq,
                    at=clock.now(),
                    status=status,
                    error=error,
                    finished_at=finished_at,
                    duration_seconds=duration_seconds,
                    **values,
                )
            )
            self._try()
        return True

    def move(self, status: RunStatus, started_at: str | None = None) -> bool:
        """Another status, that is no end; False if the run does not go there."""
        with self.journal.lock:
            if self._last is not None or not may_move(self.status, status):
                return False
            self.status = status
            if started_at is not None:
                self.started_at = started_at
                self._values["started_at"] = started_at
                self._changed.add("started_at")
            return self.set("status", status, now=True)

    def write(self) -> None:
        """Write what is not in the journal yet; its lock is held. Raises StorageError."""
        journal = self.journal
        if journal.abandoned:
            return
        journal.ready()
        anew = self._kept != journal.generation
        parts = [self._first, *self._saved] if anew else self._saved[self._saved_kept :]
        changed = self._values.keys() if anew and self._kept else self._changed
        if self._last is not None:
            parts.append(self._last)
        elif changed:
            values = {name: self._values[name] for name in changed}
            update = TrackUpdated(run=self.run_id, seq=self._seq + 1, at=clock.now(), **values)
            parts.append(_line(update))
        lines = b"".join(parts)
        if not lines:
            return
        journal.append(lines)
        self._saved_kept = len(self._saved)
        if self._last is None and changed:
            self._seq += 1
        self._kept = journal.generation
        self._changed = set()
        if self._last is not None:
            # it may be remembered for long
            self._first = self._last = b""
            self._saved = []

    def _go_on(self, *, now: bool) -> None:
        if now:
            self._try()
        else:
            self.journal.touch(self)

    def _try(self) -> None:
        try:
            self.write()
        except StorageError as error:
            self.journal.refused(error)
            self.journal.owe(self)
        else:
            self.journal.forget(self)


def _line(event: TrackLine) -> bytes:
    line = encode_line(event)
    if len(line) <= EVENT_LIMIT:
        return line
    # a line has room for thousands of characters: what there may be much of is what goes
    less = {name: type(value)() for name in ("metrics", "params", "tags") if (value := getattr(event, name, None))}
    return encode_line(msgspec.structs.replace(event, **less))
