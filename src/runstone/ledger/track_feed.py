"""The tracked runs of this process, on their way from its journal into a ledger."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from itertools import islice

from runstone.core.tracked import TrackDeleted, TrackedState, TrackEvent, TrackSurroundings, apply
from runstone.errors import FolderError, LedgerBusy, LedgerError
from runstone.folder import track_files, track_reading
from runstone.folder.track_files import TrackFile
from runstone.folder.track_journal import TrackJournal
from runstone.folder.track_reading import Found
from runstone.ledger import behind, of_track
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.row_types import Rows

_AT_ONCE = 1000
_WHILE_BUSY = 50
"""Runs that are brought in one go while the process makes many of them: the processor is for the work."""

_BUSY_BYTES = 64 * 1024
_PATIENCE = 5.0
_ASIDE = 0.002
_REST = 5
"""So many times as long as it works, whoever catches up rests."""


class TrackFeed:
    """Reads the journal as far as it is on the disk, and brings what is new into the ledger at `place`.

    What is read follows from the file alone, so that nothing waits in memory while the ledger is away. others: the
    ledger is the one for runs that name none.
    """

    def __init__(self, journal: TrackJournal, place: Place, *, others: bool) -> None:
        self.journal = journal
        self.place = place
        self.deadline: float | None = None
        """When the process ends, and what is not brought is left to others."""
        self._others = others
        self._generation = 0
        self._file: TrackFile | None = None
        self._offset = 0
        # how much there was when it was last looked at
        self._seen = 0
        self._noted = ""
        # until when it may be locked before somebody has to be told
        self._held_up = 0.0
        # runs that have not ended
        self._states: dict[str, TrackedState] = {}

    @property
    def at_rest(self) -> bool:
        """Whether the ledger has all that is on the disk."""
        journal = self.journal
        if journal.abandoned or not journal.generation:
            return True
        return self._generation == journal.generation and self._offset >= journal.synced

    def project(self, store: Store) -> None:
        """Bring some of what is new. Raises LedgerError, FolderError, OSError."""
        if self.journal.found is not None:
            synced = self.journal.synced
            busy = synced - self._seen > _BUSY_BYTES
            self._seen = synced
            self._bring_patiently(store, _WHILE_BUSY if busy else _AT_ONCE, time.monotonic() + _PATIENCE)

    def finish(self, store: Store) -> None:
        """Bring all of it. Raises LedgerError, FolderError, OSError."""
        if self.journal.found is None and self.deadline is None:
            return
        self.journal.flush()
        while not self.at_rest and (self.deadline is None or time.monotonic() < self.deadline):
            self._bring_patiently(store, of_track.BATCH, self.deadline or 0.0)
            time.sleep(_ASIDE)

    def _bring_patiently(self, store: Store, most: int, until: float) -> None:
        """Other processes bring theirs at the same time: that they are in the way now and then is nothing to tell."""
        try:
            self._bring(store, most)
        except LedgerBusy:
            self._held_up = self._held_up or until
            if time.monotonic() >= self._held_up:
                raise
        else:
            self._held_up = 0.0

    def failed(self) -> None:
        """The ledger could not be written: the journal has everything."""

    def close(self) -> None:
        """Let go of the file; if the ledger does not have all of it, others bring the rest."""
        if self.at_rest and self._noted:
            behind.forget(self._noted)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _bring(self, store: Store, most: int) -> None:
        journal = self.journal
        with journal.lock:
            generation, synced, path = journal.generation, journal.synced, journal.path
        if journal.abandoned or not generation or not synced:
            return
        if generation != self._generation or self._file is None:
            self._begin_anew(path, generation)
        if self._offset >= synced:
            return
        assert self._file is not None
        changed: dict[str, TrackedState] = {}
        unknown: set[str] = set()
        deleted: set[str] = set()
        behind_last = synced
        for behind_line, event in self._file.events(self._offset, synced):
            if isinstance(event, TrackDeleted):
                deleted.add(event.run)
            elif isinstance(event, TrackEvent):
                state = apply(self._states.get(event.run), event)
                if state is None:
                    unknown.add(event.run)
                else:
                    self._states[event.run] = changed[event.run] = state
                if len(changed) >= most:
                    behind_last = behind_line
                    break
        for run in deleted:
            changed.pop(run, None)
        of_track.bring(store, self._rows(changed.values()))
        if unknown - deleted:
            of_track.bring(store, self._begun_elsewhere(unknown - deleted))
        if deleted:
            of_track.forget_deleted(store, deleted)
        self._offset = behind_last
        for run, state in changed.items():
            if state.done:
                self._states.pop(run, None)

    def _begin_anew(self, path: str, generation: int) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._file = TrackFile(path)
        self._generation = generation
        self._offset = self._file.start
        self._states = {}
        self._note(path)

    def _note(self, path: str) -> None:
        """Should this process be killed, the next one brings what it could not."""
        if self._noted:
            behind.forget(self._noted)
        name = os.path.basename(path).removesuffix(track_files.SUFFIX)
        behind.remember(self.place, name, path, root=self.journal.root)
        self._noted = behind.note(name, self.journal.root)

    def _rows(self, states: Iterable[TrackedState]) -> Iterable[Rows]:
        assert self._file is not None
        process, path = self._file.header.process, self._file.path
        late = self.journal.found
        for state in states:
            if isinstance(late, TrackSurroundings):
                state.code_ref = state.code_ref or late.code_ref
                state.config_hash = state.config_hash or late.config_hash
            if of_track.belongs(state, self.place.shown, others=self._others):
                yield of_track.rows_of(Found(state=state, process=process, path=path))

    def _begun_elsewhere(self, run_ids: set[str]) -> Iterable[Rows]:
        """Runs whose first lines are in the journal of another process."""
        for found in track_reading.gathered(track_files.paths(self.journal.root), run_ids):
            if of_track.belongs(found.state, self.place.shown, others=self._others):
                yield of_track.rows_of(found)


def catch_up(place: Place, root: str) -> None:
    """Bring what dead processes of a project could not, slowly: whoever calls has other work to do. Never raises."""
    notes = behind.journals(place, root)
    if not notes:
        return
    try:
        store = open_ledger(place)
    except LedgerError:
        # whoever has runs of his own to bring says so
        return
    try:
        told = track_reading.survey(root, lambda path, why: None)
        for note, path in notes:
            runs = track_reading.runs(path, told) if path in told.settled else iter(())
            _bring_slowly(store, (found for found in runs if of_track.belongs(found.state, place.shown)))
            shared = track_reading.shared_runs(told)
            _bring_slowly(store, (found for found in shared if of_track.belongs(found.state, place.shown)))
            behind.forget(note)
    except (LedgerError, FolderError, OSError):
        # the notes are there for the next one
        return
    finally:
        with contextlib.suppress(LedgerError):
            store.close()


def _bring_slowly(store: Store, runs: Iterator[Found]) -> None:
    while batch := list(islice(runs, _WHILE_BUSY)):
        began = time.monotonic()
        of_track.bring(store, map(of_track.rows_of, batch))
        time.sleep(_REST * (time.monotonic() - began))
