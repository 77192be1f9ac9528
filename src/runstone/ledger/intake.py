"""Taking the run of one folder into the ledger, if the folder is believed; a run with several folders is one row.

Of copies that differ, the one at the place that the row has counts as long as it is there, else the one that is
furthest.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from enum import Enum

import msgspec

from runstone.core.moves import DONE
from runstone.core.statuses import RunStatus
from runstone.errors import FolderError, LedgerError
from runstone.folder import layout
from runstone.folder.look import Look
from runstone.folder.read import read_info
from runstone.ledger import claims
from runstone.ledger.annotations import missing, of_run, read_from, take_in_inside
from runstone.ledger.claims import Found
from runstone.ledger.of_folder import rows_of
from runstone.ledger.port import Store
from runstone.ledger.projection import Outcome, known, put_inside
from runstone.ledger.row_types import Rows, RunRow
from runstone.ledger.rows import tags
from runstone.ledger.tables import Kept, forget

_TRIES = 5
UNKEPT = "its path cannot be kept in the ledger: give it a shorter name, of letters"


class Taken(Enum):
    """What became of a folder: new or more of it is in the ledger; it was known; it is another place of a known run;
    it is where a known run is now; the ledger has records that the folder does not have (any more)."""

    TAKEN = "taken"
    KNOWN = "known"
    COPY = "copy"
    MOVED = "moved"
    AHEAD = "ahead"


class Refused(Exception):
    """A folder is not believed; says why."""


class _Row(msgspec.Struct, frozen=True):
    run_key: int
    workspace: str
    run_folder: str | None
    epoch: int
    seq: int


class Intake:
    """Takes folders into a ledger.

    together: what makes the changes of one folder count all or not at all. settled: for runs that are made again, the
    place each had; among its folders that one counts.
    """

    def __init__(
        self,
        store: Store,
        together: Callable[[], AbstractContextManager[None]] | None = None,
        settled: dict[str, str] | None = None,
    ) -> None:
        self._store = store
        self._together = together or store.writing
        self._settled = settled or {}
        # runs whose place was chosen here: another folder of theirs that is further has it instead
        self._chosen: set[str] = set()

    def take(self, found: Found, run_id: str | None = None) -> Taken:
        """Bring what a folder says into the ledger. run_id: saves the first look if it is known.

        Raises Refused, FolderError, OSError, LedgerError.
        """
        since = (0, 0) if run_id is None else known(self._store, run_id)
        for _ in range(_TRIES):
            rows = rows_of(found.path, since)
            self._believe(found, rows.run)
            if RunStatus(rows.run.status) not in DONE:
                _bring_to_disk(found.path)
            with self._together():
                taken = self._put(rows)
                if taken is not None:
                    if taken is Taken.TAKEN:
                        annotate(self._store, found.path, rows.run.run_id)
                    return taken
                row = self._row(rows.run.run_id)
            # rows that do not begin where the ledger stands, or that must be all there are
            stands = (row.epoch, row.seq) if row and row.run_folder == found.path else (0, 0)
            since = (0, 0) if since == stands else stands
        raise FolderError(f"{found.path} changes faster than it can be read; try again")

    def annotate(self, found: Found, run_id: str) -> bool:
        """Bring what people said about a run that is known; returns whether something was new. Raises LedgerError."""
        said = read_from(found.path)
        if not said or not missing(of_run(self._store, run_id), said):
            return False
        with self._together():
            annotate(self._store, found.path, run_id)
        return True

    def _believe(self, found: Found, run: RunRow) -> None:
        if run.run_folder != found.path:
            raise Refused(UNKEPT)
        why = claims.refusal(found, run.run_id, run.workspace)
        if why is not None and not self._knows_place(found, run):
            raise Refused(why)

    def _knows_place(self, found: Found, run: RunRow) -> bool:
        """Whether the ledger was told by a driver that this run of this workspace is there."""
        paths = self._store.rows(
            "SELECT place.path FROM place JOIN pipeline_run ON pipeline_run.run_key = place.run_key"
            " WHERE pipeline_run.run_id = :run_id AND pipeline_run.workspace = :workspace",
            {"run_id": run.run_id, "workspace": run.workspace},
        )
        real = os.path.realpath(found.path)
        return any(os.path.realpath(path) == real for (path,) in paths)

    def _put(self, rows: Rows) -> Taken | None:
        """None: other rows are needed."""
        run = rows.run
        row = self._row(run.run_id)
        if row is not None and row.workspace != run.workspace:
            raise Refused(f"a run of workspace {row.workspace!r} has its id, {run.run_id}")
        if row is None:
            outcome = put_inside(self._store, rows)
            if outcome is Outcome.TAKEN and self._settled.get(run.run_id) != run.run_folder:
                self._chosen.add(run.run_id)
            return _TOLD[outcome]
        if row.run_folder is None or row.run_folder == run.run_folder:
            outcome = put_inside(self._store, rows)
            if outcome is Outcome.KNOWN and (run.epoch, run.seq) < (row.epoch, row.seq):
                return Taken.AHEAD
            return _TOLD[outcome]
        return self._put_other(rows, row, row.run_folder)

    def _put_other(self, rows: Rows, row: _Row, place: str) -> Taken | None:
        """A folder of a run that the ledger knows in another place."""
        run = rows.run
        assert run.run_folder is not None
        if os.path.realpath(place) == os.path.realpath(run.run_folder):
            return Taken.KNOWN
        there = _is_at(place, run.run_id)
        further = (run.epoch, run.seq) > (row.epoch, row.seq)
        if there and not (further and run.run_id in self._chosen):
            known_before = self._store.rows(
                "SELECT 1 FROM place WHERE run_key = :run_key AND path = :path",
                {"run_key": row.run_key, "path": run.run_folder},
            )
            self._tell_place(row.run_key, run.run_folder)
            return Taken.KNOWN if known_before else Taken.COPY
        if (run.epoch, run.seq) == (row.epoch, row.seq):
            self._store.rows(
                "UPDATE pipeline_run SET run_folder = :path WHERE run_key = :run_key",
                {"path": run.run_folder, "run_key": row.run_key},
            )
            self._tell_place(row.run_key, run.run_folder)
        elif rows.since:
            return None
        else:
            remake(self._store, rows)
        self._chosen.add(run.run_id)
        return Taken.MOVED

    def _tell_place(self, run_key: int, path: str) -> None:
        self._store.rows(_TELL_PLACE, {"run_key": run_key, "path": path})

    def _row(self, run_id: str) -> _Row | None:
        found = self._store.rows(
            "SELECT run_key, workspace, run_folder, epoch, seq FROM pipeline_run WHERE run_id = :run_id",
            {"run_id": run_id},
        )
        return _Row(*found[0]) if found else None


_TOLD = {Outcome.TAKEN: Taken.TAKEN, Outcome.KNOWN: Taken.KNOWN, Outcome.GAP: None}
_TELL_PLACE = "INSERT INTO place (run_key, path) VALUES (:run_key, :path) ON CONFLICT DO NOTHING"


def remake(store: Store, rows: Rows) -> None:
    """Put all rows of a run in place of what the index has of it, inside of a transaction.

    rows: from the first record on. What the ledger alone knows of the run stays, and the places it knows.
    """
    run_id = rows.run.run_id
    kept = Kept(store, run_id)
    places: list[str] = []
    for (key,) in store.rows("SELECT run_key FROM pipeline_run WHERE run_id = :run_id", {"run_id": run_id}):
        places = [str(row[0]) for row in store.rows("SELECT path FROM place WHERE run_key = :key", {"key": key})]
        forget(store, key)
    put_inside(store, rows)
    key = store.rows("SELECT run_key FROM pipeline_run WHERE run_id = :run_id", {"run_id": run_id})[0][0]
    store.many(_TELL_PLACE, [{"run_key": key, "path": path} for path in places])
    kept.give_back(store)
    if rows.run.run_folder is not None:
        annotate(store, rows.run.run_folder, run_id)


def annotate(store: Store, folder: str, run_id: str) -> None:
    """Bring what people said about a run into the ledger, and make its tags of all that was said there.

    Inside of a transaction. Raises LedgerError, FolderError, OSError.
    """
    said = read_from(folder)
    if said or of_run(store, run_id):
        with Look(folder) as look:
            own = tags(read_info(look))
        take_in_inside(store, run_id, said, own)


@contextlib.contextmanager
def inside(store: Store) -> Iterator[None]:
    """All or nothing, within a transaction that somebody else has begun."""
    store.script("SAVEPOINT one_folder")
    try:
        yield
    except BaseException:
        # a full disk has ended the whole transaction already
        with contextlib.suppress(LedgerError):
            store.script("ROLLBACK TO SAVEPOINT one_folder")
            store.script("RELEASE SAVEPOINT one_folder")
        raise
    store.script("RELEASE SAVEPOINT one_folder")


def _is_at(path: str, run_id: str) -> bool:
    """Whether the run of this id is in a folder."""
    try:
        with Look(path) as look:
            return read_info(look).id == run_id
    except (OSError, FolderError):
        return False


def _bring_to_disk(folder: str) -> None:
    """Sync the records of a run that goes on, or was killed: the ledger must not know what a machine that dies now
    would forget."""
    with contextlib.suppress(OSError, FolderError), Look(folder) as look:
        names = [f"{below}/{name}" for below in (layout.JOURNAL, layout.OUTPUTS) for name in look.names(below)]
        for name in (layout.RUN, *names):
            descriptor = look.open(name)
            if descriptor is not None:
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
