"""Holding every row of the ledger against what its folder says, field by field."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from enum import Enum

import msgspec

from runstone import config
from runstone.core.moves import DONE
from runstone.core.statuses import Liveness, RunStatus
from runstone.errors import FolderError
from runstone.folder import clock, identity, observe, track_files, track_reading
from runstone.folder.look import Look
from runstone.folder.read import read_info
from runstone.ledger import claims, of_track
from runstone.ledger.annotations import missing, of_run, read_from
from runstone.ledger.column_values import PATH_KEPT, text
from runstone.ledger.contents import Reader, Scratch, differing
from runstone.ledger.intake import UNKEPT, remake
from runstone.ledger.of_folder import check_names, rows_of
from runstone.ledger.port import Store
from runstone.ledger.row_types import Rows
from runstone.ledger.rows import tags
from runstone.ledger.sqlite import SqliteStore
from runstone.ledger.sync import Named, sync
from runstone.ledger.tables import INDEX

_NAMED = 100
"""So many differences are listed; all are counted."""

_JUST_SECONDS = 3.0
"""A run that ended so short a time ago may still be on its way into the ledger."""

_MOVING = (Liveness.LIVE.value, Liveness.STALE.value)


class Kind(Enum):
    """What is between the ledger and a folder: the run is not in the ledger; its folder is not there; they say
    different things; its folder cannot be read; the ledger does not know of this further folder of a run; the run was
    deleted, and an older copy of the ledger has brought its row back."""

    NOT_IN_LEDGER = "not in the ledger"
    NOT_ON_DISK = "not on disk"
    DIFFERS = "differs"
    UNREADABLE = "unreadable"
    PLACE = "unknown place"
    DELETED = "was deleted"


class Difference(msgspec.Struct, frozen=True):
    """One run whose row and folder do not agree. details: the fields, or what is wrong."""

    kind: Kind
    run_id: str
    path: str
    details: list[str] = []


class Findings(msgspec.Struct):
    """What a check has found.

    runs: that were compared. underway: a process writes them just now, and brings them itself. elsewhere: their folders
    are on other hosts. counts: of differences, by their kind. refused, unreadable: folders that the ledger does not
    have, and should not, or cannot. problems: what is wrong with the ledger itself.
    """

    runs: int = 0
    underway: int = 0
    elsewhere: int = 0
    foreign: int = 0
    counts: dict[str, int] = {}
    differences: list[Difference] = []
    refused: Named = msgspec.field(default_factory=Named)
    unreadable: Named = msgspec.field(default_factory=Named)
    problems: list[str] = []

    @property
    def equal(self) -> bool:
        """Whether nothing is wrong."""
        return not self.counts and not self.problems

    def add(self, difference: Difference) -> None:
        """One more."""
        kind = difference.kind.value
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if len(self.differences) < _NAMED:
            self.differences.append(difference)


class Mended(msgspec.Struct):
    """What a repair has done. remade: runs whose rows were made again. taken: runs and places that are known now.
    forgotten: rows of runs that had been deleted. left: what is found after it."""

    remade: int
    taken: int
    left: Findings
    forgotten: int = 0


def check(store: Store) -> Findings:
    """Compare everything; nothing is changed. Raises LedgerError."""
    return _Check(store).findings


def repair(store: Store) -> Mended:
    """Make the rows that differ again, bring in what is missing, and look again; nothing is forgotten but runs of which
    a journal says that they were deleted.

    Raises LedgerError.
    """
    found = _Check(store, mend=True)
    report = sync(store)
    taken = report.taken + report.copies + report.moved
    return Mended(found.remade, taken, check(store), found.forgotten)


class _Row(msgspec.Struct, frozen=True):
    run_key: int
    run_id: str
    workspace: str
    run_folder: str
    epoch: int
    seq: int
    host: str | None


_ROWS = (
    "SELECT run_key, run_id, workspace, run_folder, epoch, seq, host FROM pipeline_run"
    " WHERE run_folder IS NOT NULL AND run_key > :after ORDER BY run_key LIMIT 500"
)


class _Check:
    def __init__(self, store: Store, *, mend: bool = False) -> None:
        self._store = store
        self._mend = mend
        self._reader = Reader(store)
        self._scratch = Scratch()
        self.findings = Findings(problems=problems(store))
        self.remade = 0
        self.forgotten = 0
        try:
            for row in self._rows():
                self._hold(row)
            self._look_for_unknown()
            self._hold_tracked()
        finally:
            self._scratch.close()

    def _rows(self) -> Iterator[_Row]:
        after = -1
        # those that are made again meanwhile come once more, with a higher key
        last = self._store.rows("SELECT coalesce(max(run_key), 0) FROM pipeline_run")[0][0]
        while batch := [_Row(*row) for row in self._store.rows(_ROWS, {"after": after})]:
            yield from (row for row in batch if row.run_key <= last)
            after = batch[-1].run_key

    def _hold(self, row: _Row) -> None:
        self.findings.runs += 1
        try:
            rows, own = _told(row.run_folder)
        except (FileNotFoundError, NotADirectoryError):
            self._not_there(row)
            return
        except (FolderError, OSError) as error:
            self._add(Kind.UNREADABLE, row, str(error))
            return
        if (rows.run.run_id, rows.run.workspace) != (row.run_id, row.workspace):
            self._add(Kind.NOT_ON_DISK, row, f"another run is in its place: {rows.run.run_id}")
            return
        found = self._compare(rows, own)
        if not found:
            return
        if _is_underway(rows, (row.epoch, row.seq)):
            self.findings.underway += 1
            return
        self.findings.add(Difference(Kind.DIFFERS, row.run_id, row.run_folder, found))
        if self._mend:
            with self._store.writing():
                remake(self._store, rows)
            self.remade += 1

    def _compare(self, rows: Rows, own: list[str]) -> list[str]:
        held = self._reader.contents(rows.run.run_id)
        if held is None:
            # deleted meanwhile
            return []
        found = differing(held, self._scratch.contents(rows, own, self._store))
        folder = rows.run.run_folder or ""
        if new := missing(of_run(self._store, rows.run.run_id), read_from(folder)):
            found.append(f"annotation ({len(new):,} more in the folder)")
        return found

    def _not_there(self, row: _Row) -> None:
        if row.host and row.host != identity.host() and not os.path.isdir(os.path.dirname(row.run_folder)):
            self.findings.elsewhere += 1
        else:
            self._add(Kind.NOT_ON_DISK, row)

    def _add(self, kind: Kind, row: _Row, *details: str) -> None:
        self.findings.add(Difference(kind, row.run_id, row.run_folder, list(details)))

    def _hold_tracked(self) -> None:
        """The runs that are in the journals of the project, and in no folder."""
        findings = self.findings
        try:
            told = track_reading.survey(config.project_root(), findings.unreadable.add)
        except OSError as error:
            findings.unreadable.add(error.filename, (error.strerror or str(error)).lower())
            return
        for known in of_track.brought_back(self._store, told.deleted):
            findings.add(Difference(Kind.DELETED, known.run_id, track_files.folder(config.project_root())))
        if self._mend:
            self.forgotten = of_track.forget_deleted(self._store, told.deleted)
        for path, rows in of_track.rows_of_project(told, self._store.where, findings.unreadable.add):
            findings.runs += 1
            run_id = rows.run.run_id
            held = self._reader.contents(run_id)
            found = [] if held is None else differing(held, self._scratch.contents(rows, rows.tags, self._store))
            if held is not None and not found:
                continue
            if track_reading.is_being_written(path) and (held is None or held["pipeline_run"][0]["seq"] < rows.run.seq):
                findings.underway += 1
                continue
            kind = Kind.NOT_IN_LEDGER if held is None else Kind.DIFFERS
            findings.add(Difference(kind, run_id, path, found))
            if self._mend and held is not None:
                with self._store.writing():
                    self.remade += of_track.remake(self._store, rows)

    def _look_for_unknown(self) -> None:
        """Folders under the roots that the ledger does not have."""
        roots = claims.roots()
        for root in roots:
            for found in claims.runs_below(root, roots, self.findings.unreadable.add):
                if found.foreign:
                    self.findings.foreign += 1
                else:
                    self._look(found)

    def _look(self, found: claims.Found) -> None:
        try:
            with Look(found.path) as look:
                info = read_info(look)
            check_names(info)
        except (FolderError, OSError) as error:
            self.findings.unreadable.add(found.path, str(error))
            return
        rows = self._store.rows(
            "SELECT workspace, path FROM pipeline_run LEFT JOIN place ON place.run_key = pipeline_run.run_key"
            " WHERE run_id = :run_id",
            {"run_id": info.id},
        )
        if any(workspace == info.workspace and path == found.path for workspace, path in rows):
            return
        if text(found.path, PATH_KEPT) != found.path:
            self.findings.refused.add(found.path, UNKEPT)
        elif (why := claims.refusal(found, info.id, info.workspace)) is not None:
            if not any(path is not None and os.path.realpath(path) == os.path.realpath(found.path) for _, path in rows):
                self.findings.refused.add(found.path, why)
        elif not rows and observe.status(found.path).get("liveness") in _MOVING:
            self.findings.underway += 1
        elif not rows:
            self.findings.add(Difference(Kind.NOT_IN_LEDGER, info.id, found.path))
        elif rows[0][0] != info.workspace:
            self.findings.refused.add(found.path, f"a run of workspace {rows[0][0]!r} has its id, {info.id}")
        else:
            self.findings.add(Difference(Kind.PLACE, info.id, found.path))


def _told(folder: str) -> tuple[Rows, list[str]]:
    """What a folder says of its run, and the tags that this began with."""
    rows = rows_of(folder)
    with Look(folder) as look:
        return rows, tags(read_info(look))


def _is_underway(rows: Rows, known: tuple[int, int]) -> bool:
    """Whether a process writes this run, or has just ended it, and so is the one to bring the rest.

    known: epoch and number of the last record in the ledger.
    """
    run = rows.run
    if RunStatus(run.status) not in DONE:
        # it may have ended since its rows were made
        return observe.status(run.run_folder or "").get("liveness") in (*_MOVING, Liveness.ENDED.value)
    ended = clock.seconds(run.finished_at) or 0.0
    return known < (run.epoch, run.seq) and 0 <= time.time() - ended < _JUST_SECONDS


def problems(store: Store) -> list[str]:
    """What is wrong with the ledger itself, whatever folders say. Raises LedgerError."""
    found = store.problems() if isinstance(store, SqliteStore) else []
    for table in INDEX:
        if table != "pipeline_run":
            lost = store.rows(f"SELECT count(*) FROM {table} WHERE run_key NOT IN (SELECT run_key FROM pipeline_run)")[
                0
            ][0]
            if lost:
                found.append(f"{lost:,} rows of table {table} belong to no run")
    return found
