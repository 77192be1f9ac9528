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
from runstone.ledger.opening import PATIENCE, open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.row_types import Rows

_AT_ONCE = 1000
_WHILE_BUSY = 50
"""Runs that are brought in one go while the process makes many of them: the processor is for the work."""

_BUSY_BYTES = 64 * 1024
_PATIENCE = 5.0
_LITTLE_PATIENCE = 0.2
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
        # for each file that may have something that is not in the ledger, the note about it
        self._noted: dict[str, str] = {}
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

    def left(self) -> int:
        """How many runs the journal has that are not in the ledger as they are now. Never raises."""
        found: dict[str, TrackedState] = {}
        with self.journal.lock:
            files = dict(self.journal.files)
        for generation in sorted(each for each in files if each >= self._generation):
            with contextlib.suppress(OSError, FolderError), TrackFile(files[generation]) as file:
                for _, event in file.events(self._offset if generation == self._generation else None):
                    if isinstance(event, TrackEvent):
                        state = apply(found.get(event.run) or self._states.get(event.run), event)
                        if state is not None:
                            found[event.run] = state
        return sum(of_track.belongs(each, self.place.shown, others=self._others) for each in found.values())

    def failed(self) -> None:
        """The ledger could not be written: the journal has everything."""

    def close(self) -> None:
        """Let go of the file; if the ledger does not have all of it, others bring the rest."""
        if self.at_rest:
            self._forget_notes(None)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _bring(self, store: Store, most: int) -> None:
        journal = self.journal
        with journal.lock:
            generation, synced, files = journal.generation, journal.synced, dict(journal.files)
        if journal.abandoned or not generation or not synced:
            return
        if self._file is None or self._generation not in files:
            # nothing was read before, or somebody has deleted it
            self._states = {}
            self._open_next(files, 0 if self._file is None else self._generation)
        # what came before the last file is on the disk whenever anything of that is
        if self._generation != generation:
            assert self._file is not None
            synced = self._file.size
            if self._offset >= synced:
                self._open_next(files, self._generation)
                return
        elif self._offset >= synced:
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

    def _open_next(self, files: dict[int, str], read: int) -> None:
        """Go on with the file that follows one that was read. files: by their generation, of which that has `read`."""
        if self._file is not None:
            self._file.close()
            self._file = None
        for generation in sorted(each for each in files if each > read):
            try:
                self._file = TrackFile(files[generation])
            except FileNotFoundError:
                if generation == max(files):
                    raise
                # all runs of it were deleted meanwhile
                continue
            self._generation = generation
            self._offset = self._file.start
            self.note(files[generation])
            self._forget_notes(files[generation])
            return

    def note(self, path: str) -> None:
        """Should this process be killed, the next one brings what it could not of a file."""
        if path not in self._noted:
            name = os.path.basename(path).removesuffix(track_files.SUFFIX)
            behind.remember(self.place, name, path, root=self.journal.root)
            self._noted[path] = behind.note(name, self.journal.root)

    def _forget_notes(self, before: str | None) -> None:
        """Take away the notes about files that were noted before this one; None for all."""
        for path in list(self._noted):
            if path == before:
                return
            behind.forget(self._noted.pop(path))

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


def catch_up(place: Place, root: str, seconds: float | None = None, *, most_bytes: int | None = None) -> None:
    """Bring what dead processes of a project could not. Never raises.

    seconds: from where it has come to something new, for no longer than so, and at once; otherwise slowly, for whoever
    calls has other work to do. What it does not come to is for the next one, who goes on there. most_bytes: leave it
    all to others if the journals of the project are larger together.
    """
    notes = behind.journals(place.shown, root)
    if not notes or (most_bytes is not None and _bytes(root) > most_bytes):
        return
    try:
        store = open_ledger(place, patience=PATIENCE if seconds is None else _LITTLE_PATIENCE)
    except LedgerError:
        # whoever has runs of his own to bring says so
        return
    try:
        _catch_up(store, place, root, notes, seconds)
    except (LedgerError, FolderError, OSError):
        # the notes are there for the next one
        return
    finally:
        with contextlib.suppress(LedgerError):
            store.close()


def _catch_up(store: Store, place: Place, root: str, notes: list[tuple[str, str]], seconds: float | None) -> None:
    told = track_reading.survey(root, lambda path, why: None)
    aside = _Aside(store, seconds)
    for note, path in notes:
        runs = track_reading.runs(path, told) if path in told.settled else iter(())
        if not aside.bring(each for each in runs if of_track.belongs(each.state, place.shown)):
            return
        if not told.shared:
            behind.forget(note)
    if told.shared:
        if not aside.bring(
            each for each in track_reading.shared_runs(told) if of_track.belongs(each.state, place.shown)
        ):
            return
        for note, _ in notes:
            behind.forget(note)


class _Aside:
    """Brings runs of others. seconds: no longer than so from the first one that is new, and without a rest."""

    def __init__(self, store: Store, seconds: float | None) -> None:
        self._store = store
        self._seconds = seconds
        self._until: float | None = None

    def bring(self, runs: Iterator[Found]) -> bool:
        """Whether there was time for all of them. Raises LedgerError, FolderError, OSError."""
        while batch := list(islice(runs, _WHILE_BUSY if self._seconds is None else of_track.BATCH)):
            if self._until is not None and time.monotonic() >= self._until:
                return False
            began = time.monotonic()
            known = of_track.known_runs(self._store, [each.state.run_id for each in batch])
            new = [each for each in batch if not of_track.is_known(each.state, known.get(each.state.run_id))]
            if new:
                if self._seconds is not None and self._until is None:
                    self._until = began + self._seconds
                of_track.bring(self._store, map(of_track.rows_of, new))
            if self._seconds is None:
                time.sleep(_REST * (time.monotonic() - began))
        return True


def _bytes(root: str) -> int:
    """How large the journals of a project are together. Never raises."""
    try:
        return sum(os.stat(path).st_size for path in track_files.paths(root))
    except OSError:
        return 0
